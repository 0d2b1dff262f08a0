"""Waits for transactions that a test blocks with a lock."""

import asyncio

from tests.worker.workbench import Workbench

_PATIENCE_SECONDS = 60
_LOOK_SECONDS = 0.02


async def until_waiting(workbench: Workbench, count: int) -> None:
    """Wait until `count` transactions wait for a lock. Those of killed workers keep waiting until they get it."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND state = 'active'"
    )
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            async with workbench.resources.database.transaction() as tx:
                if await tx.fetchval(query) >= count:
                    return
            await asyncio.sleep(_LOOK_SECONDS)
