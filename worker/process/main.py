import asyncio
import signal

from app.core.settings import Settings
from worker.process.lifecycle import open_loops
from worker.process.loops import run_loops


async def run(settings: Settings) -> None:
    """Run the worker until SIGTERM or SIGINT. Another worker goes on with what is interrupted then.

    Raises:
        LoopEndedError: a loop has ended, so the process must end.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    async with open_loops(settings) as loops:
        await run_loops(loops, stopping)
