"""Streams of events that tell open pages how far their contents are."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from app.admin.content.live_queries import State
from app.core.errors import ServiceUnavailableError
from app.core.sse import KEEP_ALIVE, frame

# How many streams a session may have open. Browsers open six connections to a server over HTTP/1.1.
MOST_OPEN: Final = 4
_LOOK_SECONDS: Final = 1.0
_KEEP_ALIVE_SECONDS: Final = 10.0
# A browser opens the next stream when one ends: this bounds how long one process keeps them.
LONGEST_SECONDS: Final = 300.0
# How soon it does so.
_AGAIN: Final = b"retry: 3000\n\n"

# How far the contents are; None if the reader has signed out, or may not see them any more.
Look = Callable[[], Awaitable[list[State] | None]]


class Streams:
    """Counts the open streams of each session in this process."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def has_room(self, session_id: str) -> bool:
        """Whether the session may open one more."""
        return self._open[session_id] < MOST_OPEN

    @contextmanager
    def opened(self, session_id: str) -> Iterator[None]:
        """Count a stream for the time of the block."""
        self._open[session_id] += 1
        try:
            yield
        finally:
            self._open[session_id] -= 1
            if not self._open[session_id]:
                del self._open[session_id]


async def follow(
    look: Look, known: Mapping[str, str], is_stopping: Callable[[], bool], *, seconds: float = LONGEST_SECONDS
) -> AsyncIterator[bytes]:
    """Events for every content whose state is another one than the page knows, until all have ended.

    Between two looks it holds nothing. It ends when the reader signs out, when the server stops, when the database is
    away, and after `seconds`.

    Args:
        look: reads how far they are.
        known: the version that the page shows, by content.
        is_stopping: whether the server is asked to stop.
        seconds: how long the stream lasts at most.
    """
    versions = dict(known)
    began = said = time.monotonic()
    yield _AGAIN
    while not is_stopping() and time.monotonic() < began + seconds:
        try:
            states = await look()
        except ServiceUnavailableError:
            return
        if states is None:
            yield _event("gone", {})
            return
        for state in states:
            if versions.get(str(state.id)) != state.version:
                versions[str(state.id)] = state.version
                said = time.monotonic()
                yield _event("change", {"id": str(state.id), "status": state.status.value, "is_ended": state.is_ended})
        if all(state.is_ended for state in states):
            yield _event("done", {})
            return
        if time.monotonic() > said + _KEEP_ALIVE_SECONDS:
            said = time.monotonic()
            yield KEEP_ALIVE
        await asyncio.sleep(_LOOK_SECONDS)


def _event(name: str, data: object) -> bytes:
    return b"event: " + name.encode() + b"\n" + frame(data)
