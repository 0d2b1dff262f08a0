"""What is known of the runs of responses."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from app.response_runs.models import LIVE, RunStatus

# What ends an event, and is in none.
_END: Final = b"\n\n"


@dataclass(frozen=True)
class RunLease:
    """An attempt at a response, as its holder names it. Nobody else has had it, nor will."""

    id: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A response as it is accepted.

    Attributes:
        id: the response's.
        organization_id: who pays.
        user_id: whose response it is.
        api_key_id: the key that it was asked for with.
        session_id: its session's row.
        turn_id: its first turn.
        identity: what its events say of that turn.
        request: the body of the request.
        response: the response as it is shown while it waits.
        input: the items of its request.
        events: those with which it begins; None if it is not streamed.
    """

    id: str
    organization_id: str
    user_id: str
    api_key_id: str
    session_id: uuid.UUID
    turn_id: str
    identity: Mapping[str, Any]
    request: bytes
    response: Mapping[str, Any]
    input: Sequence[Mapping[str, Any]]
    events: bytes | None


@dataclass(frozen=True, kw_only=True)
class LapsedRun:
    """A run that nobody had any more, and that was taken over.

    Attributes:
        lease: what the new holder names it by.
        organization_id: who pays.
        user_id: whose response it is.
        api_key_id: the key that it was asked for with.
        session_id: its session's row.
        turn_id: the turn of the attempt before.
        status: how far it is.
        identity: what its events say of its turn.
        request: the body of the request.
        response: the response as it was shown when it was accepted.
        uses: what the attempt before had used when its last events were stored.
        next_event: the number of the next event; 0 if it is not streamed.
    """

    lease: RunLease
    organization_id: str
    user_id: str
    api_key_id: str
    session_id: uuid.UUID
    turn_id: str
    status: RunStatus
    identity: dict[str, Any]
    request: bytes
    response: Mapping[str, Any]
    uses: Sequence[Mapping[str, Any]]
    next_event: int


@dataclass(frozen=True)
class Batch:
    """Events that were stored together: as they are sent, from the number `first` on."""

    first: int
    body: bytes

    @property
    def next(self) -> int:
        """The number of the event after them."""
        return self.first + self.body.count(_END)

    def after(self, number: int) -> bytes:
        """Those that come after the one of this number."""
        events = self.body.split(_END)
        return _END.join(events[max(0, number + 1 - self.first) :])


@dataclass(frozen=True)
class StoredEvents:
    """What is stored of a response's events from some number on.

    Attributes:
        status: how far the response is.
        next_event: the number of the event after the last one; 0 if none are stored.
        batches: the first of them.
    """

    status: RunStatus
    next_event: int
    batches: Sequence[Batch]

    @property
    def is_live(self) -> bool:
        """Whether more may come."""
        return self.status in LIVE
