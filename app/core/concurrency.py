import asyncio
from collections.abc import Callable, Coroutine, Iterable
from time import monotonic
from typing import Any, Final, TypeVar

# How long one part of a long computation takes, so that nobody waits longer.
_SLICE_SECONDS: Final = 0.01

_T = TypeVar("_T")
_Item = TypeVar("_Item")


async def all_of(coroutines: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """Run them at the same time and return their results in order.

    If one fails, the others are cancelled, and its error is raised when they have ended.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:  # raised again
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def cancel_all(tasks: Iterable[asyncio.Task[Any]], *, again_after: float = 1.0) -> None:
    """Cancel the tasks and wait until they have ended, however they end.

    Before Python 3.12 `asyncio.wait_for`, which redis-py uses for every command, drops a cancellation that comes just
    as it returns. So those that have not ended are cancelled again, every `again_after` seconds.
    """
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=again_after)


async def in_slices(function: Callable[[_Item], _T], items: Iterable[_Item]) -> list[_T]:
    """The function of each item. For many items it takes turns with whatever else the process does."""
    results: list[_T] = []
    began = monotonic()
    for item in items:
        results.append(function(item))
        if monotonic() > began + _SLICE_SECONDS:
            await asyncio.sleep(0)
            began = monotonic()
    return results
