"""A worker that only sends webhooks, until nothing is due. Its settings are in the environment.

Used by test_killed_senders.py, as `python -m tests.worker_faults.sender`.
"""

import asyncio

from app.core.settings import Settings
from tests.worker.manual_worker import open_manual_worker


async def main() -> None:
    """Send what is due."""
    async with open_manual_worker(Settings()) as worker:
        await worker.steps.deliver.run()


if __name__ == "__main__":
    asyncio.run(main())
