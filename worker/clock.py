import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import NoReturn

from worker.lifecycle import WorkerContext

logger = logging.getLogger(__name__)

Step = Callable[[WorkerContext], Awaitable[None]]


async def repeat(step: Step, context: WorkerContext, *, pause: float) -> NoReturn:
    """Run the step for ever, `pause` seconds apart. A step that fails is logged and tried again."""
    while True:
        try:
            await step(context)
        except Exception:
            logger.exception("step_failed", extra={"step": step.__name__})
        await asyncio.sleep(pause)
