"""Repeats what must be done although Postgres is away."""

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, TypeVar

from app.core.backoff import backoff
from app.core.errors import ServiceUnavailableError

# Seconds to wait before the second try, and at most before a further one.
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
# Further tries once the hold has expired, after which what was used can only be charged late.
_TRIES_AFTER_EXPIRY: Final = 60

_T = TypeVar("_T")


async def until_done(step: Callable[[], Awaitable[_T]], *, expires_at: float) -> _T:
    """Run the step, and again for as long as Postgres is away and a hold has not expired; then some more times.

    Args:
        step: may be written again if it is not known whether it was.
        expires_at: a moment of the monotonic clock.

    Raises:
        ServiceUnavailableError: Postgres has been away for too long.
    """
    failures = late_failures = 0
    while True:
        try:
            return await step()
        except ServiceUnavailableError:
            late_failures += monotonic() > expires_at
            if late_failures > _TRIES_AFTER_EXPIRY:
                raise
        await asyncio.sleep(backoff(failures, first=_FIRST_PAUSE, longest=_LONGEST_PAUSE).total_seconds())
        failures += 1
