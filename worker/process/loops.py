"""The loops of a worker: each runs for ever, reports that it does, and ends the process if it ends."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NoReturn

from app.core.concurrency import cancel_all
from app.core.errors import ServiceUnavailableError
from app.core.metrics import ROUND_SECONDS, timed

logger = logging.getLogger(__name__)

# How long one round of a loop may take, beyond its pause, before it counts as stalled.
_LONGEST_ROUND_SECONDS = 60.0


class LoopEndedError(Exception):
    """A loop has ended. The process must end too: a worker that does only part of its work would look healthy."""


@dataclass
class Pulse:
    """The time, by the monotonic clock, by which each loop of the process is expected to begin its next round."""

    _expected: dict[str, float] = field(default_factory=dict)

    def beat(self, loop: str, pause: float) -> None:
        """Note that the loop has begun a round; the next one follows after a pause of so many seconds."""
        self._expected[loop] = time.monotonic() + pause + _LONGEST_ROUND_SECONDS

    def states(self) -> dict[str, bool]:
        """For each loop, whether it began its last round as expected."""
        now = time.monotonic()
        return {loop: expected > now for loop, expected in self._expected.items()}


@dataclass(frozen=True)
class Loop:
    """Something that a worker does for ever."""

    name: str
    run: Callable[[], Awaitable[object]]


async def repeat(
    step: Callable[[], Awaitable[object]],
    pulse: Pulse,
    *,
    name: str,
    pause: float | Callable[[], float],
    wake: asyncio.Event | None = None,
) -> NoReturn:
    """Run the step for ever, `pause` seconds apart or when woken. A step that fails is logged and tried again."""
    wake = wake or asyncio.Event()
    seconds = pause if callable(pause) else lambda: pause
    while True:
        pulse.beat(name, seconds())
        wake.clear()
        try:
            with timed(ROUND_SECONDS.labels(name)):
                await step()
        except ServiceUnavailableError as error:
            # Postgres is away, as its own line says. What was not done now is done in a later round.
            logger.debug("step_interrupted", extra={"step": name, "reason": error.text})
        except Exception:  # the loop must go on with its next round
            logger.exception("step_failed", extra={"step": name})
        await wait(wake, seconds())


async def wait(event: asyncio.Event, seconds: float) -> None:
    """Wait until the event is set, `seconds` at most."""
    # Not `wait_for`: before Python 3.12 it drops a cancellation that comes together with the event.
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


async def run_loops(loops: Iterable[Loop], stopping: asyncio.Event) -> None:
    """Run the loops until the event is set, then cancel them and wait until they have released what they held.

    Raises:
        LoopEndedError: one of them ended before that; its own error is the cause.
    """
    tasks = [asyncio.ensure_future(_guarded(loop)) for loop in loops]
    stop = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        await cancel_all([stop, *tasks])


async def _guarded(loop: Loop) -> NoReturn:
    try:
        await loop.run()
    except Exception as error:  # raised again under the loop's name
        raise LoopEndedError(f"the loop {loop.name} has ended") from error
    raise LoopEndedError(f"the loop {loop.name} has ended")
