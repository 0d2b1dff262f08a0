"""The SQL that prunes. Each statement is one batch: it waits for nobody, and whoever needs its rows waits for it alone.

A row that somebody else has locked is passed over. So two that prune at once get different rows.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from app.core.database import Transaction, one_of
from app.credits.models import EntryKind, HoldState
from app.credits.references import LATE
from app.generations.states import UNENDED

# A turn whose process sleeps has a lease that has expired, and still means to store its answer.
_IS_OLD = f"""
s.last_update_time < now() - {{kept}}::interval
AND (s.turn_lease_until IS NULL OR s.turn_lease_until < now() - interval '1 day')
AND NOT EXISTS (SELECT FROM generations g WHERE g.session_id = s.id AND {one_of("g.status", UNENDED)})
"""
_HAVE_OLD_SESSIONS = """
SELECT o.id FROM organizations o
WHERE EXISTS (SELECT FROM sessions WHERE organization_id = o.id AND last_update_time < now() - $1::interval)
ORDER BY o.id
"""
# $1 organization, $2 how long they are kept, $3 sessions at most, $4 messages at most. Messages go with their session.
_PRUNE_SESSIONS = f"""
WITH old AS MATERIALIZED (
    SELECT id, message_count FROM sessions s WHERE organization_id = $1 AND {_IS_OLD.format(kept="$2")}
    ORDER BY last_update_time, id LIMIT $3 FOR UPDATE SKIP LOCKED
), few AS (
    SELECT id FROM (SELECT id, sum(message_count) OVER (ORDER BY message_count, id) AS messages FROM old) counted
    WHERE messages <= $4
), pruned AS (
    DELETE FROM sessions s USING few WHERE s.id = few.id RETURNING 1
)
SELECT (SELECT count(*) FROM pruned) AS removed,
       (SELECT id FROM old WHERE message_count > $4 ORDER BY id LIMIT 1) AS long
"""
# A long session goes in pieces. From the first one on it has a name that no client knows, so that nobody continues what
# is left of it: whoever uses its own name begins a new session.
_SHORTEN = f"""
WITH old AS MATERIALIZED (
    SELECT id FROM sessions s WHERE id = $1 AND {_IS_OLD.format(kept="$2")} FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM messages WHERE id = ANY(ARRAY(
        SELECT m.id FROM messages m JOIN old ON old.id = m.session_id ORDER BY m.id LIMIT $3
    )) RETURNING 1
)
UPDATE sessions s SET public_id = 'pruned-' || s.id, message_count = message_count - (SELECT count(*) FROM gone)
FROM old WHERE s.id = old.id
"""
_COUNT_SESSIONS = f"SELECT count(*) FROM sessions s WHERE {_IS_OLD.format(kept='$1')}"

# A month's events go only after all of that month is sealed.
_CUT = """
LEAST(date_trunc('day', (now() - {kept}::interval) AT TIME ZONE 'UTC'),
      date_trunc('month', m.sealed_before AT TIME ZONE 'UTC')) AT TIME ZONE 'UTC'
"""
_HAVE_OLD_HOLDS = f"""
SELECT m.organization_id, cut FROM seal_marks m CROSS JOIN LATERAL (SELECT {_CUT.format(kept="$1")} AS cut) c
WHERE m.sealed_before IS NOT NULL
  AND EXISTS (SELECT FROM credit_holds h WHERE h.organization_id = m.organization_id AND h.ended_at < cut)
ORDER BY m.organization_id
"""
_NOTE_CUT = """
UPDATE seal_marks SET pruned_before = $2
WHERE organization_id = $1 AND $2 <= sealed_before AND (pruned_before IS NULL OR pruned_before < $2)
"""
# $1 organization, $2 the cut, $3 holds at most, after the hold of $4 and $5. What cannot be proven stays: a charge that
# is not sealed, a use that is not charged, and whatever was used after the cut.
_PRUNE_METERING = f"""
WITH picked AS MATERIALIZED (
    SELECT * FROM credit_holds
    WHERE organization_id = $1 AND ended_at < $2 AND ended_at >= $4 AND (ended_at, id) > ($4, $5)
      AND state <> '{HoldState.OPEN}'
    ORDER BY ended_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
), proven AS MATERIALIZED (
    SELECT p.id, p.reference, GREATEST(p.calls_opened - recorded.calls, 0) AS lost_calls
    FROM picked p
    CROSS JOIN LATERAL (
        SELECT count(*) AS calls FROM metering_events e WHERE e.hold_reference = p.reference
    ) recorded
    LEFT JOIN LATERAL (
        SELECT true AS is_so FROM metering_events e WHERE e.hold_reference = p.reference AND e.recorded_at >= $2 LIMIT 1
    ) used_later ON true
    LEFT JOIN LATERAL (
        SELECT true AS is_so FROM ledger_entries l JOIN seal_marks m USING (organization_id)
        WHERE l.reference = p.reference AND l.organization_id = $1 AND l.id <= m.entry_id
          AND l.kind = '{EntryKind.CHARGE}' AND l.amount = -p.charged LIMIT 1
    ) sealed ON true
    LEFT JOIN LATERAL (
        SELECT true AS is_so FROM metering_events e LEFT JOIN ledger_entries l ON l.reference = '{LATE}:' || e.call_id
        WHERE e.hold_reference = p.reference AND e.cost > 0 AND l.id IS NULL LIMIT 1
    ) uncharged ON true
    WHERE used_later.is_so IS NULL
      AND CASE WHEN p.state = '{HoldState.SETTLED}' THEN sealed.is_so
          ELSE p.superseded_by IS NOT NULL OR uncharged.is_so IS NULL END
), events AS (
    DELETE FROM metering_events e USING proven p
    WHERE e.hold_reference = p.reference AND e.organization_id = $1 RETURNING 1
), holds AS (
    DELETE FROM credit_holds h USING proven p WHERE h.id = p.id RETURNING 1
), noted AS (
    UPDATE seal_marks SET pruned_holds = pruned_holds + (SELECT count(*) FROM holds),
           pruned_events = pruned_events + (SELECT count(*) FROM events),
           lost_calls = lost_calls + (SELECT coalesce(sum(proven.lost_calls), 0) FROM proven)
    WHERE organization_id = $1
)
SELECT (SELECT count(*) FROM holds) AS removed, last.ended_at, last.id
FROM (SELECT 1) one LEFT JOIN (SELECT ended_at, id FROM picked ORDER BY ended_at DESC, id DESC LIMIT 1) last ON true
"""
_COUNT_METERING = f"""
SELECT count(*) FROM credit_accounts a JOIN credit_holds h USING (organization_id)
WHERE h.ended_at < date_trunc('day', (now() - $1::interval) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
  AND h.state <> '{HoldState.OPEN}'
"""

_OLD_EVENTS = """
FROM webhook_events v WHERE v.created_at < now() - $1::interval
AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.event_id = v.id AND d.state = 'pending')
"""
_PRUNE_EVENTS = f"""
WITH pruned AS (
    DELETE FROM webhook_events WHERE id IN (
        SELECT v.id {_OLD_EVENTS} ORDER BY v.created_at LIMIT $2 FOR UPDATE OF v SKIP LOCKED
    ) RETURNING 1
)
SELECT count(*) FROM pruned
"""
_COUNT_EVENTS = f"SELECT count(*) {_OLD_EVENTS}"
_PRUNE_ENDPOINTS = """
DELETE FROM webhook_endpoints e WHERE e.deleted_at < now() - $1::interval
AND NOT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = e.id)
"""


@dataclass(frozen=True)
class PrunedSessions:
    """What one batch has removed, and a session that is too long to go at once."""

    removed: int
    long: uuid.UUID | None


@dataclass(frozen=True)
class PrunedHolds:
    """How many holds one batch has removed, with their events, and the last one that it has looked at."""

    removed: int
    last: tuple[datetime, int] | None


async def find_with_old_sessions(tx: Transaction, kept: timedelta) -> Sequence[str]:
    """The organizations with sessions that were last used so long ago."""
    return [row["id"] for row in await tx.fetch(_HAVE_OLD_SESSIONS, kept)]


async def prune_sessions(
    tx: Transaction, organization_id: str, kept: timedelta, *, sessions: int, messages: int
) -> PrunedSessions:
    """Delete so many old sessions at most, and so many messages with them. Those that are in use stay."""
    row = await tx.fetchrow(_PRUNE_SESSIONS, organization_id, kept, sessions, messages)
    return PrunedSessions(0, None) if row is None else PrunedSessions(row["removed"], row["long"])


async def shorten_session(tx: Transaction, session_id: uuid.UUID, kept: timedelta, *, messages: int) -> None:
    """Delete the first messages of an old session that is too long to go at once."""
    await tx.execute(_SHORTEN, session_id, kept, messages)


async def count_old_sessions(tx: Transaction, kept: timedelta) -> int:
    """How many sessions are old enough to go."""
    count: int = await tx.fetchval(_COUNT_SESSIONS, kept)
    return count


async def find_with_old_holds(tx: Transaction, kept: timedelta) -> Sequence[tuple[str, datetime]]:
    """The organizations with holds that may go: each with the moment before which they have ended."""
    return [(row["organization_id"], row["cut"]) for row in await tx.fetch(_HAVE_OLD_HOLDS, kept)]


async def note_cut(tx: Transaction, organization_id: str, cut: datetime) -> None:
    """Write down that holds and events of before this moment may be gone from now on."""
    await tx.execute(_NOTE_CUT, organization_id, cut)


async def prune_metering(
    tx: Transaction, organization_id: str, cut: datetime, *, holds: int, after: tuple[datetime, int]
) -> PrunedHolds:
    """Delete so many holds at most that have ended before the cut, and their events, if what they charged is sealed."""
    row = await tx.fetchrow(_PRUNE_METERING, organization_id, cut, holds, *after)
    if row is None:
        return PrunedHolds(0, None)
    return PrunedHolds(row["removed"], None if row["id"] is None else (row["ended_at"], row["id"]))


async def count_old_holds(tx: Transaction, kept: timedelta) -> int:
    """How many holds are old enough to go once their days are sealed."""
    count: int = await tx.fetchval(_COUNT_METERING, kept)
    return count


async def prune_webhooks(tx: Transaction, kept: timedelta, *, events: int) -> int:
    """Delete so many events at most that happened so long ago, with their deliveries. Returns how many."""
    removed: int = await tx.fetchval(_PRUNE_EVENTS, kept, events)
    return removed


async def prune_deleted_endpoints(tx: Transaction, kept: timedelta) -> None:
    """Delete what is left of endpoints that were deleted so long ago and have no deliveries any more."""
    await tx.execute(_PRUNE_ENDPOINTS, kept)


async def count_old_webhooks(tx: Transaction, kept: timedelta) -> int:
    """How many events are old enough to go."""
    count: int = await tx.fetchval(_COUNT_EVENTS, kept)
    return count
