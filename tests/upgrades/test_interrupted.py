"""Migrations that are killed: run again, they leave what they would have left at once.

`FULL=1` kills one before each of its statements in turn. Otherwise before some of them, which `SEED` chooses.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from devstack.servers import EmbeddedServers
from tests.faults.postgres_proxy import postgres_proxy
from tests.upgrades.databases import copy_of
from tests.upgrades.migrators import migrator, schema_of, status_of

_IS_FULL = os.environ.get("FULL") == "1"
_SAMPLE = 6


async def run_whole(url: str, log: Path) -> int:
    """Migrate without an interruption; returns how many statements that took."""
    async with postgres_proxy(url) as (proxy, proxied):
        whole = migrator(proxied, log)
        whole.launch()
        assert await status_of(whole) == 0
        return proxy.statements


async def kill_before(url: str, number: int, log: Path, *, is_sent: bool) -> None:
    """Kill a migration before this statement. If it is sent, Postgres runs it without the client."""
    async with postgres_proxy(url) as (proxy, proxied):
        doomed = migrator(proxied, log)
        proxy.hold(number)
        doomed.launch()
        await proxy.wait_until_held()
        doomed.kill()
        if is_sent:
            proxy.let_pass()
            await asyncio.sleep(0)  # the proxy passes it on before it is closed


@pytest.mark.timeout(3600 if _IS_FULL else 300)
async def test_a_migration_that_was_killed_anywhere_is_completed_by_the_next_one(
    embedded: EmbeddedServers, older_template: str, tmp_path: Path
) -> None:
    async with copy_of(embedded.database_url, older_template) as url:
        count = await run_whole(url, tmp_path / "whole.log")
        expected = await schema_of(url)
    seed = os.environ.get("SEED", "1")
    chosen = range(1, count + 1) if _IS_FULL else random.Random(seed).sample(range(1, count + 1), _SAMPLE)

    for index, number in enumerate(chosen):
        async with copy_of(embedded.database_url, older_template) as url:
            await kill_before(url, number, tmp_path / f"killed-{number}.log", is_sent=index % 2 == 0)
            again = migrator(url, tmp_path / f"again-{number}.log")
            again.launch()

            assert await status_of(again) == 0, again.log.read_text()
            assert await schema_of(url) == expected, f"killed before statement {number} of {count}"
