"""How late the event loop is at what is due: everything in a process waits for that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from app.core.concurrency import cancel_all
from app.core.metrics import LOOP_LAG_SECONDS

_EVERY_SECONDS: Final = 0.5


@asynccontextmanager
async def measuring_lag() -> AsyncIterator[None]:
    """Look twice a second, while the block runs, how late the loop wakes what has asked to be woken."""
    measuring = asyncio.create_task(_measure_for_ever())
    try:
        yield
    finally:
        await cancel_all([measuring])


async def _measure_for_ever() -> NoReturn:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _EVERY_SECONDS
        await asyncio.sleep(_EVERY_SECONDS)
        LOOP_LAG_SECONDS.observe(max(0.0, loop.time() - due))
