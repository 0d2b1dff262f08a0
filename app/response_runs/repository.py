"""The SQL of responses that run without their client. Every statement of a holder names its attempt."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from asyncpg import Record

from app.core.database import Database, Transaction, one_of
from app.core.json import storable_json, storable_text
from app.response_runs.models import LIVE, RunStatus
from app.response_runs.stored_runs import Batch, LapsedRun, NewRun, RunLease, StoredEvents
from app.webhook_endpoints import fragments as webhooks
from app.webhook_endpoints.models import EventType

# The ids of the organization and of the user.
Owner = tuple[str, str]

_IS_LIVE = one_of("status", LIVE)
_HELD = "id = $1 AND attempt = $2 AND lease_until IS NOT NULL"
# A session that is being removed in pieces has another name.
_OF_OWNER = """
FROM response_runs r JOIN sessions s ON s.id = r.session_id AND s.public_id <> 'pruned-' || s.id
WHERE r.organization_id = $1 AND r.user_id = $2 AND r.id = $3
"""

_INSERT = f"""
INSERT INTO response_runs (id, organization_id, user_id, api_key_id, session_id, turn_id, status, lease_until, identity,
                           request, response, input, next_event)
VALUES ($1, $2, $3, $4, $5, $6, '{RunStatus.QUEUED}', now() + $7, $8, $9, $10, $11, $12)
"""
_INSERT_EVENTS = "INSERT INTO response_events (response_id, first, body) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"

_LOCK = f"SELECT status, next_event FROM response_runs WHERE {_HELD} FOR UPDATE"
_BEGIN = f"UPDATE response_runs SET status = '{RunStatus.IN_PROGRESS}' WHERE {_HELD} AND status = '{RunStatus.QUEUED}'"
_MOVE = f"UPDATE response_runs SET turn_id = $3, uses = NULL WHERE {_HELD}"

# $3 the number of the first event, $4 that of the event after the last one. It may be written again if it is not known
# whether it was.
_APPEND = f"""
WITH run AS (
    UPDATE response_runs SET next_event = $4, uses = $6, lease_until = now() + $7
    WHERE {_HELD} AND {_IS_LIVE} AND next_event IN ($3, $4) RETURNING id
), stored AS (
    INSERT INTO response_events (response_id, first, body) SELECT id, $3, $5 FROM run ON CONFLICT DO NOTHING
)
SELECT true FROM run
"""

_ENDING = {
    "ended": f"""
        UPDATE response_runs SET lease_until = NULL, request = NULL, uses = NULL, ended_at = coalesce(ended_at, now()),
            status = CASE WHEN {_IS_LIVE} THEN $3 ELSE status END, response = CASE WHEN {_IS_LIVE} THEN $4::json
            ELSE response END, input = CASE WHEN {_IS_LIVE} AND $4::json IS NULL THEN NULL ELSE input END,
            next_event = $6
        WHERE {_HELD} RETURNING id, status, response
    """,
    "happened": f"""
        SELECT '{EventType.RESPONSE_FAILED}' AS type, id AS subject, response::text AS data FROM ended
        WHERE status = '{RunStatus.FAILED}'
    """,
    **webhooks.told("happened", organization="$5"),
}
_END = f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in _ENDING.items())} SELECT true FROM ended"

_HAND_ON = f"UPDATE response_runs SET lease_until = now(), status = '{RunStatus.QUEUED}' WHERE {_HELD} AND {_IS_LIVE}"

_GIVEN = "unnest($1::text[], $2::bigint[]) AS held (id, attempt)"
_RENEW = f"""
UPDATE response_runs r SET lease_until = now() + $3 FROM {_GIVEN}
WHERE r.id = held.id AND r.attempt = held.attempt AND r.lease_until IS NOT NULL
"""
_FIND_HELD = f"""
SELECT id, attempt FROM response_runs r JOIN {_GIVEN} USING (id, attempt) WHERE lease_until IS NOT NULL AND {_IS_LIVE}
"""

_TAKE_OVER = """
UPDATE response_runs SET attempt = attempt + 1, lease_until = now() + $1
WHERE id = (
    SELECT id FROM response_runs WHERE lease_until <= now() ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING *
"""

_FIND = f"SELECT r.status, r.response {_OF_OWNER} AND r.response IS NOT NULL"
_FIND_INPUT = f"SELECT r.input {_OF_OWNER} AND r.input IS NOT NULL"
_DELETE = "DELETE FROM response_runs WHERE organization_id = $1 AND user_id = $2 AND id = $3 RETURNING id"

_LOCK_OWN = f"SELECT r.status, r.next_event, r.response {_OF_OWNER} FOR UPDATE OF r"
_CANCEL = f"""
UPDATE response_runs SET status = '{RunStatus.CANCELLED}', ended_at = now(), next_event = $2, response = $3
WHERE id = $1
"""

# $4 the number of the first event that is wanted, $5 batches at most.
_READ = f"""
SELECT r.status, r.next_event, e.first, e.body
FROM (SELECT r.* {_OF_OWNER}) r LEFT JOIN LATERAL (
    SELECT first, body FROM response_events e
    WHERE e.response_id = r.id AND first >= coalesce(
        (SELECT max(first) FROM response_events b WHERE b.response_id = r.id AND b.first <= $4), 0)
    ORDER BY first LIMIT $5
) e ON r.next_event > $4
ORDER BY e.first
"""

# $1 how long events are stored, $2 runs at most. A run that somebody else has locked is passed over. A number below
# zero says that there were events.
_FORGET = """
WITH old AS (
    SELECT id FROM response_runs WHERE next_event > 0 AND ended_at < now() - $1::interval AND lease_until IS NULL
    ORDER BY ended_at LIMIT $2 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM response_events e USING old WHERE e.response_id = old.id
), forgotten AS (
    UPDATE response_runs r SET next_event = -next_event FROM old WHERE r.id = old.id RETURNING 1
)
SELECT count(*) FROM forgotten
"""


async def insert(tx: Transaction, run: NewRun, lease: timedelta, next_event: int) -> None:
    """Add a run, leased for its first attempt, and the events with which it begins."""
    await tx.execute(
        _INSERT,
        run.id,
        run.organization_id,
        run.user_id,
        run.api_key_id,
        run.session_id,
        run.turn_id,
        lease,
        storable_json(run.identity),
        run.request,
        storable_json(run.response),
        storable_json(run.input),
        next_event,
    )
    if run.events is not None:
        await insert_events(tx, run.id, Batch(0, run.events))


async def insert_events(tx: Transaction, response_id: str, batch: Batch) -> None:
    """Add events of a run that is locked."""
    await tx.execute(_INSERT_EVENTS, response_id, batch.first, batch.body)


async def lock(tx: Transaction, lease: RunLease) -> tuple[RunStatus, int] | None:
    """Lock the run. Returns its status and the number of its next event; None if it is another's, or done."""
    row = await tx.fetchrow(_LOCK, lease.id, lease.attempt)
    return (RunStatus(row["status"]), row["next_event"]) if row else None


async def begin(database: Database, lease: RunLease) -> None:
    """Note that the run is in progress."""
    await database.fetch(_BEGIN, lease.id, lease.attempt)


async def move(tx: Transaction, lease: RunLease, turn_id: str) -> None:
    """Give the run, which is locked, another turn."""
    await tx.execute(_MOVE, lease.id, lease.attempt, turn_id)


async def append(
    database: Database, lease: RunLease, batch: Batch, uses: Sequence[Mapping[str, Any]], time: timedelta
) -> bool:
    """Add events, with what has been used by then, and renew the lease. False if the run is another's, or has ended."""
    values = batch.first, batch.next, batch.body, storable_json(uses), time
    return await database.fetchval(_APPEND, lease.id, lease.attempt, *values) is not None


async def end(
    tx: Transaction,
    lease: RunLease,
    organization_id: str,
    status: RunStatus,
    response: Mapping[str, Any] | None,
    next_event: int,
) -> None:
    """End the run, which is locked. One that has ended before keeps what it says. Of a failure endpoints are told."""
    shown = None if response is None else storable_json(response)
    await tx.execute(_END, lease.id, lease.attempt, status.value, shown, organization_id, next_event)


async def hand_on(database: Database, lease: RunLease) -> None:
    """End the lease of a run, for anybody to take it over."""
    await database.fetch(_HAND_ON, lease.id, lease.attempt)


async def renew(database: Database, leases: Sequence[RunLease], time: timedelta) -> None:
    """Extend leases to this long from now."""
    await database.fetch(_RENEW, *_columns(leases), time)


async def find_held(database: Database, leases: Sequence[RunLease]) -> set[RunLease]:
    """Those whose runs are still theirs, and have not ended."""
    rows = await database.fetch(_FIND_HELD, *_columns(leases))
    return {RunLease(row["id"], row["attempt"]) for row in rows}


async def take_over(database: Database, lease: timedelta) -> LapsedRun | None:
    """Take over the run whose lease has ended first. None if there is none."""
    rows = await database.fetch(_TAKE_OVER, lease)
    return _lapsed(rows[0]) if rows else None


async def find(tx: Transaction, owner: Owner, response_id: str) -> tuple[RunStatus, dict[str, Any]] | None:
    """The status and the response of the owner's run, unless the response is kept elsewhere."""
    row = await tx.fetchrow(_FIND, *owner, storable_text(response_id))
    return (RunStatus(row["status"]), row["response"]) if row else None


async def find_input(tx: Transaction, owner: Owner, response_id: str) -> list[Any] | None:
    """The items of the request of the owner's run, unless they are kept elsewhere."""
    items: list[Any] | None = await tx.fetchval(_FIND_INPUT, *owner, storable_text(response_id))
    return items


async def delete(tx: Transaction, owner: Owner, response_id: str) -> bool:
    """Delete the owner's run with its events. False if there is none of this id."""
    return await tx.fetchval(_DELETE, *owner, storable_text(response_id)) is not None


async def lock_own(
    tx: Transaction, owner: Owner, response_id: str
) -> tuple[RunStatus, int, dict[str, Any] | None] | None:
    """Lock the owner's run. Returns its status, the number of its next event, and the response; None without one."""
    row = await tx.fetchrow(_LOCK_OWN, *owner, storable_text(response_id))
    return (RunStatus(row["status"]), row["next_event"], row["response"]) if row else None


async def cancel(tx: Transaction, response_id: str, response: Mapping[str, Any], next_event: int) -> None:
    """Cancel a run that is locked and has not ended."""
    await tx.execute(_CANCEL, response_id, next_event, storable_json(response))


async def forget_events(database: Database, kept: timedelta, limit: int) -> int:
    """Delete the events of so many responses at most that have ended so long ago. Returns of how many."""
    forgotten: int = await database.fetchval(_FORGET, kept, limit)
    return forgotten


async def read(database: Database, owner: Owner, response_id: str, start: int, batches: int) -> StoredEvents | None:
    """The events of the owner's run from the number `start` on, in so many batches at most. None if there is no run."""
    rows = await database.fetch(_READ, *owner, storable_text(response_id), start, batches)
    if not rows:
        return None
    found = [Batch(row["first"], row["body"]) for row in rows if row["first"] is not None]
    return StoredEvents(RunStatus(rows[0]["status"]), rows[0]["next_event"], found)


def _columns(leases: Sequence[RunLease]) -> tuple[list[str], list[int]]:
    return [each.id for each in leases], [each.attempt for each in leases]


def _lapsed(row: Record) -> LapsedRun:
    return LapsedRun(
        lease=RunLease(row["id"], row["attempt"]),
        organization_id=row["organization_id"],
        user_id=row["user_id"],
        api_key_id=row["api_key_id"],
        session_id=row["session_id"],
        turn_id=row["turn_id"],
        status=RunStatus(row["status"]),
        identity=row["identity"],
        request=row["request"],
        response=row["response"] or {},
        uses=row["uses"] or (),
        next_event=row["next_event"],
    )
