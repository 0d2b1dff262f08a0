"""Waiting for something that another process, thread or task will certainly do."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

# Only a failing test waits this long. It is shorter than pytest's time limit, so that the error names the condition.
PATIENCE: Final = 120.0

_LOOK_SECONDS = 0.02
_T = TypeVar("_T")


def wait_until(condition: Callable[[], _T]) -> _T:
    """Wait until a condition is true.

    Returns:
        The true value.
    """
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(_LOOK_SECONDS)
    return found


async def until(condition: Callable[[], Awaitable[_T]]) -> _T:
    """Wait until a condition is true, without blocking the event loop.

    Returns:
        The true value.
    """
    async with asyncio.timeout(PATIENCE):
        while not (found := await condition()):  # noqa: ASYNC110 - what is waited for happens elsewhere
            await asyncio.sleep(_LOOK_SECONDS)
    return found
