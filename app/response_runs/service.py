"""Responses that run without their client: `queued`, `in_progress`, and ended.

A run is a row with a lease. Its holder renews the lease; whoever finds it expired takes the run over with the next
attempt, after which nothing that the former holder writes has an effect.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from time import monotonic
from typing import Any, Final

from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError
from app.response_runs import repository
from app.response_runs.errors import EventsNotStoredError
from app.response_runs.models import LIVE, RunStatus
from app.response_runs.repository import Owner
from app.response_runs.stored_runs import Batch, LapsedRun, NewRun, RunLease, StoredEvents

LEASE: Final = timedelta(seconds=30)
# How long events are stored after the end of their response.
EVENTS_LIFETIME: Final = timedelta(hours=24)
_FORGOTTEN_AT_ONCE: Final = 200
# A round of a worker's loop must not take longer than a minute.
_MOST_SECONDS: Final = 20.0
_BATCHES_READ: Final = 64


async def accept(tx: Transaction, run: NewRun) -> RunLease:
    """Accept a response, in the transaction that admits its first turn."""
    await repository.insert(tx, run, LEASE, Batch(0, run.events).next if run.events else 0)
    return RunLease(run.id, 1)


async def lock(tx: Transaction, lease: RunLease) -> bool:
    """Lock the run, before anything else of its turn. False if it is another's, has ended, or is deleted."""
    locked = await repository.lock(tx, lease)
    return locked is not None and locked[0] in LIVE


async def begin(database: Database, lease: RunLease) -> None:
    """Note that the response is in progress."""
    await repository.begin(database, lease)


async def move(tx: Transaction, lease: RunLease, turn_id: str) -> None:
    """Note the turn that the run, which is locked, has begun again with."""
    await repository.move(tx, lease, turn_id)


async def append(database: Database, lease: RunLease, batch: Batch, uses: Sequence[Mapping[str, Any]]) -> bool:
    """Store events before they are sent, with what has been used by then. It may be repeated, and renews the lease.

    Returns:
        False if the run is another's, or has ended: they must not be sent.
    """
    return await repository.append(database, lease, batch, uses, LEASE)


async def end(
    tx: Transaction,
    lease: RunLease,
    organization_id: str,
    status: RunStatus,
    response: Mapping[str, Any] | None,
    last: Callable[[int], bytes] | None,
) -> None:
    """End the run, in the transaction that ends its turn. Does nothing if the run is another's, or deleted.

    Args:
        tx: the transaction.
        lease: the run.
        organization_id: who pays.
        status: how it has ended. If it was cancelled before, that is how it has.
        response: the response as it is shown; None if it is kept.
        last: makes the last events, whose first one has this number; None if none are stored.
    """
    locked = await repository.lock(tx, lease)
    if locked is None:
        return
    was_live, next_event = locked[0] in LIVE, locked[1]
    if last is not None and was_live and next_event:
        batch = Batch(next_event, last(next_event))
        await repository.insert_events(tx, lease.id, batch)
        next_event = batch.next
    await repository.end(tx, lease, organization_id, status, response, next_event)


async def hand_on(database: Database, lease: RunLease) -> None:
    """Leave a run of which nothing was sent to whoever takes it over, as if this process had been killed."""
    await repository.hand_on(database, lease)


async def renew(database: Database, leases: Sequence[RunLease]) -> None:
    """Renew leases."""
    await repository.renew(database, leases, LEASE)


async def find_held(database: Database, leases: Sequence[RunLease]) -> set[RunLease]:
    """Those whose runs are still theirs, and have not ended."""
    return await repository.find_held(database, leases)


async def take_over(database: Database) -> LapsedRun | None:
    """Take over a run that nobody has any more. None if there is none."""
    return await repository.take_over(database, LEASE)


async def find_response(tx: Transaction, owner: Owner, response_id: str) -> dict[str, Any] | None:
    """The response of a run as it is shown now. None if it is not the owner's, or is kept."""
    found = await repository.find(tx, owner, response_id)
    return None if found is None else {**found[1], "status": found[0].value}


async def find_input(tx: Transaction, owner: Owner, response_id: str) -> list[Any] | None:
    """The items of the request of a run. None if it is not the owner's, or is kept."""
    return await repository.find_input(tx, owner, response_id)


async def delete(tx: Transaction, owner: Owner, response_id: str) -> bool:
    """Delete a run with its events. If it has not ended, its turn does. False if it is not the owner's."""
    return await repository.delete(tx, owner, response_id)


async def cancel(
    tx: Transaction, owner: Owner, response_id: str, last: Callable[[Mapping[str, Any], int], bytes]
) -> None:
    """Cancel a run, if it is in the background and has not ended.

    What it has used is charged by its holder, or by whoever takes it over.

    Args:
        tx: the transaction.
        owner: whose response it is.
        response_id: the response.
        last: makes the last event from the response and its number.
    """
    found = await repository.lock_own(tx, owner, response_id)
    if found is None:
        return
    status, next_event, response = found
    if status not in LIVE or response is None or not response["background"]:
        return
    cancelled = {**response, "status": RunStatus.CANCELLED.value}
    if next_event:
        batch = Batch(next_event, last(cancelled, next_event))
        await repository.insert_events(tx, response_id, batch)
        next_event = batch.next
    await repository.cancel(tx, response_id, cancelled, next_event)


async def read_events(database: Database, owner: Owner, response_id: str, after: int) -> StoredEvents | None:
    """The events that are stored after the one of this number; -1 for all. None if the owner has no such run.

    Raises:
        EventsNotStoredError: none are stored, or no longer.
        InvalidRequestError: there is no event of this number.
    """
    found = await repository.read(database, owner, response_id, after + 1, _BATCHES_READ)
    if found is None:
        return None
    if found.next_event < 0:
        raise EventsNotStoredError("The events of this response are not stored any more")
    if found.next_event == 0:
        raise EventsNotStoredError
    if after >= found.next_event:
        text = f"starting_after: the last event so far is {found.next_event - 1}"
        raise InvalidRequestError(text, param="starting_after")
    return found


async def forget_events(database: Database) -> None:
    """Delete events whose responses have ended long ago. What one round does not manage is left to the next."""
    deadline, forgotten = monotonic() + _MOST_SECONDS, _FORGOTTEN_AT_ONCE
    while forgotten == _FORGOTTEN_AT_ONCE and monotonic() < deadline:
        forgotten = await repository.forget_events(database, EVENTS_LIFETIME, _FORGOTTEN_AT_ONCE)
