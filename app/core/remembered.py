import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.core.notifications import NotificationListener

_UNPROVEN_SECONDS = 1.0

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class _Entry(Generic[_Value]):
    """A value, and when it was read, by the monotonic clock."""

    value: _Value
    loaded_at: float


class Remembered(Generic[_Key, _Value]):
    """Values of Postgres that rarely change, so that to read one again costs no round trip.

    A value is valid for as long as the listener proves that no notification of a change was missed. Without that proof
    it is valid for one second. Of more than `most` values the one that was used longest ago is forgotten.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._entries: OrderedDict[_Key, _Entry[_Value]] = OrderedDict()
        self._version = 0
        self.listener: NotificationListener | None = None

    def clear(self) -> None:
        """Forget everything: something has changed, or may have."""
        self._version += 1
        self._entries.clear()

    async def get(self, key: _Key, load: Callable[[], Awaitable[_Value]]) -> _Value:
        """The value of that key, which is loaded unless it is known. An error of loading is raised, not remembered."""
        entry = self._known(key)
        if entry is not None:
            return entry.value
        version, loaded_at = self._version, time.monotonic()
        value = await load()
        if version == self._version:
            # Otherwise something changed during the read, and what was read may be out of date.
            self._entries[key] = _Entry(value, loaded_at)
            if len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return value

    def _known(self, key: _Key) -> _Entry[_Value] | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        proven_until = self.listener.complete_until() if self.listener else float("-inf")
        if max(entry.loaded_at, proven_until) < time.monotonic() - _UNPROVEN_SECONDS:
            return None
        self._entries.move_to_end(key)
        return entry
