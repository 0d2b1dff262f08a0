"""How long a stream may be silent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True)
class StreamPatience:
    """How long a stream may be silent, in seconds. None is no limit but that of the whole call.

    Only events count, not comments: those may come from a gateway while the model is silent.

    Attributes:
        first_event: from the request to the first event.
        between_events: from each event to the next one.
    """

    first_event: float | None = None
    between_events: float | None = None


PATIENT: Final = StreamPatience()


async def in_time(
    items: AsyncGenerator[_T], first_until: float | None, seconds: Callable[[], float | None]
) -> AsyncGenerator[_T]:
    """The items, as long as each comes in time. The time that they are not asked for does not count.

    Args:
        items: what is waited for. They are closed at the end.
        first_until: when the first one has to be there, on the loop's clock.
        seconds: how long each further one may take, asked when the one before it has been used.

    Raises:
        TimeoutError: one did not.
    """
    until = first_until
    async with aclosing(items):
        while True:
            try:
                item = await anext(items) if until is None else await _before(until, items)
            except StopAsyncIteration:
                return
            yield item
            until = from_now(seconds())


async def _before(until: float, items: AsyncIterator[_T]) -> _T:
    async with asyncio.timeout_at(until):
        return await anext(items)


def from_now(seconds: float | None) -> float | None:
    """The loop's time in so many seconds; None for None."""
    return None if seconds is None else asyncio.get_running_loop().time() + seconds
