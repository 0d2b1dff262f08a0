from collections import deque
from enum import StrEnum
from itertools import count

from simulator.clock import Clock, timestamp
from simulator.wire import Json

_KEPT_PER_KIND = 20_000


class LogKind(StrEnum):
    """The kinds of entries, each with its own maximum number."""

    PREDICTION = "prediction"
    CANCEL = "cancel"
    DELIVERY = "delivery"
    WEBHOOK = "webhook"
    CHAT = "chat"
    EMBEDDINGS = "embeddings"


class RequestLog:
    """What the simulator received and sent, for tests to assert on.

    Entries are only ever added; an entry of something that takes time (a stream, a webhook) is completed later.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = count(1)
        self._entries: dict[LogKind, deque[Json]] = {kind: deque(maxlen=_KEPT_PER_KIND) for kind in LogKind}

    def add(self, kind: LogKind, **fields: object) -> Json:
        """Append an entry.

        Returns:
            The entry itself, so that its writer can complete it.
        """
        now = timestamp(self._clock.now())
        entry: Json = {"seq": next(self._numbers), "kind": kind.value, "at": now, **fields}
        self._entries[kind].append(entry)
        return entry

    def complete(self, entry: Json, **fields: object) -> None:
        """Note how an entry ended, and when."""
        entry.update(fields, ended_at=timestamp(self._clock.now()))

    def entries(self, kind: LogKind | None, *, since: int) -> list[Json]:
        """The entries of one kind, or of all, numbered above ``since``, oldest first."""
        kinds = LogKind if kind is None else [kind]
        found = [entry for each in kinds for entry in self._entries[each] if entry["seq"] > since]
        return sorted(found, key=lambda entry: int(entry["seq"]))

    def clear(self) -> None:
        """Forget all entries; the numbers go on."""
        for entries in self._entries.values():
            entries.clear()
