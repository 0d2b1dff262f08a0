import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

from worker.process.lifecycle import WorkerContext

logger = logging.getLogger(__name__)

Step = Callable[[WorkerContext], Awaitable[None]]


async def repeat(step: Step, context: WorkerContext, *, pause: float, wake: asyncio.Event | None = None) -> NoReturn:
    """Run the step for ever, `pause` seconds apart or when woken. A step that fails is logged and tried again."""
    wake = wake or asyncio.Event()
    while True:
        wake.clear()
        try:
            await step(context)
        except Exception:  # the next round comes all the same
            logger.exception("step_failed", extra={"step": step.__name__})
        # Not `wait_for`: before Python 3.12 it drops a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await wake.wait()
