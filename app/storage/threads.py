import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def uninterrupted(work: asyncio.Future[T]) -> T:
    """Wait until `work` has ended. If the waiting task is cancelled, the cancellation is raised only then.

    A thread cannot be stopped. If the caller went on before its end, it would close files and abort uploads that the
    thread still uses.
    """
    cancellation: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        work.exception()  # marks it as retrieved: what is raised to the caller is the cancellation
        raise cancellation
    return work.result()


class Threads:
    """The threads of one store for its blocking calls. `errors` turns what they raise into `StoreError`."""

    def __init__(self, count: int, *, errors: Callable[[], AbstractContextManager[None]]) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="storage")
        self._errors = errors

    def start(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[T]:
        """Begin the call and return at once. `result` must be called later."""
        return asyncio.get_running_loop().run_in_executor(self._pool, partial(function, *args, **kwargs))

    async def result(self, call: asyncio.Future[T]) -> T:
        """Wait until a call has ended, even if cancelled."""
        with self._errors():
            return await uninterrupted(call)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make the call in a thread and wait until it has ended, even if cancelled."""
        return await self.result(self.start(function, *args, **kwargs))

    async def close(self) -> None:
        """Wait for running calls, then end the threads."""
        await asyncio.to_thread(self._pool.shutdown)
