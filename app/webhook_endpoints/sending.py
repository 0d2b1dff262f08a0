"""Deliveries that are due: claimed for a try, then noted with what has become of it.

A claim is a lease with a number, as those of generations are (docs/adr/0014). Whoever finds that its number is an
earlier one changes nothing. A try whose end nobody notes is made again: a receiver may get an event twice, never not.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from app.audit.actor import SERVER
from app.audit.service import log_change
from app.core.database import Transaction
from app.webhook_endpoints.models import DeliveryState, DisabledReason

# At once to one endpoint. To one whose last try has failed, so that receivers that hang take little of a worker.
MOST_AT_ONCE: Final = 4
_MOST_AT_ONCE_IF_FAILING: Final = 1
# After so long without one success nothing more is sent.
FAILING_FOR: Final = timedelta(days=5)
_GIVE_UP_SIZE: Final = 500

IS_DUE: Final = "state = 'pending' AND due_at <= now()"
_IS_IN_FLIGHT: Final = "state = 'pending' AND is_sending AND due_at > now()"
_MOST: Final = f"CASE WHEN e.failing_since IS NULL THEN {MOST_AT_ONCE} ELSE {_MOST_AT_ONCE_IF_FAILING} END"
_FREE: Final = f"""
{_MOST} - (SELECT count(*) FROM webhook_deliveries s WHERE s.endpoint_id = e.id AND s.{_IS_IN_FLIGHT})
"""

# Endpoints are found one by one along an index, however many deliveries wait for each.
_FIRST: Final = """
WITH RECURSIVE first AS (
    (SELECT endpoint_id, due_at FROM webhook_deliveries WHERE state = 'pending' ORDER BY endpoint_id, due_at LIMIT 1)
    UNION ALL
    SELECT next.endpoint_id, next.due_at FROM first CROSS JOIN LATERAL (
        SELECT endpoint_id, due_at FROM webhook_deliveries
        WHERE state = 'pending' AND endpoint_id > first.endpoint_id ORDER BY endpoint_id, due_at LIMIT 1
    ) next
)
"""
# Those that work come first. Whoever counts what is on its way to an endpoint holds its row, so that two workers do not
# both count before either claims.
_LOCK_ENDPOINTS: Final = f"""
{_FIRST}
SELECT e.id, e.deleted_at IS NOT NULL OR e.disabled_at IS NOT NULL AS is_off
FROM first JOIN webhook_endpoints e ON e.id = first.endpoint_id
WHERE first.due_at <= now() AND ({_FREE}) > 0
ORDER BY e.failing_since IS NOT NULL, first.due_at LIMIT $1 FOR NO KEY UPDATE OF e SKIP LOCKED
"""
# A statement of its own, so that it sees what was claimed before the locks were taken. One of each endpoint comes
# before the second of any.
_CLAIM: Final = f"""
WITH picked AS (
    SELECT d.id FROM webhook_endpoints e CROSS JOIN LATERAL (
        SELECT id, due_at FROM webhook_deliveries WHERE endpoint_id = e.id AND {IS_DUE}
        ORDER BY due_at LIMIT GREATEST(0, {_FREE}) FOR UPDATE SKIP LOCKED
    ) d
    WHERE e.id = ANY ($1::text[]) ORDER BY row_number() OVER (PARTITION BY e.id ORDER BY d.due_at) LIMIT $2
), claimed AS (
    UPDATE webhook_deliveries d SET is_sending = true, claim = claim + 1, due_at = now() + $3::interval
    FROM picked WHERE d.id = picked.id
    RETURNING d.id, d.claim, d.endpoint_id, d.event_id, d.failures, d.organization_id
)
SELECT c.*, v.body, v.type, e.url, e.secret, CASE WHEN e.former_until > now() THEN e.former_secret END AS former_secret
FROM claimed c JOIN webhook_events v ON v.id = c.event_id JOIN webhook_endpoints e ON e.id = c.endpoint_id
"""
_GIVE_UP: Final = f"""
UPDATE webhook_deliveries SET state = '{DeliveryState.FAILED}', ended_at = now(), is_sending = false
WHERE id IN (
    SELECT id FROM webhook_deliveries WHERE endpoint_id = ANY ($1::text[]) AND {IS_DUE}
    ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""

# $1 and $2 the claim, $3 the new state, $4 until the next try; then what is kept of this one.
_NOTE: Final = f"""
WITH noted AS (
    UPDATE webhook_deliveries
    SET state = $3, is_sending = false, tries = tries + 1,
        failures = failures + CASE WHEN $3 = '{DeliveryState.DELIVERED}' THEN 0 ELSE 1 END,
        due_at = now() + $4::interval, ended_at = CASE WHEN $3 = '{DeliveryState.PENDING}' THEN NULL ELSE now() END
    WHERE id = $1 AND claim = $2 AND is_sending
    RETURNING id, tries
), kept AS (
    INSERT INTO webhook_tries (delivery_id, number, began_at, duration_ms, status, reason, response)
    SELECT id, tries, $5, $6, $7, $8, $9 FROM noted
)
SELECT id FROM noted
"""
_HAND_BACK: Final = """
UPDATE webhook_deliveries SET is_sending = false, due_at = now() WHERE id = $1 AND claim = $2 AND is_sending
"""
_WORKS: Final = "UPDATE webhook_endpoints SET failing_since = NULL WHERE id = $1 AND failing_since IS NOT NULL"
_FAILS: Final = "UPDATE webhook_endpoints SET failing_since = now() WHERE id = $1 AND failing_since IS NULL"
# Unless it leads elsewhere by now, or was switched off by somebody.
_DISABLE: Final = """
UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = $3
WHERE id = $1 AND url = $2 AND disabled_at IS NULL AND deleted_at IS NULL
  AND ($4::interval IS NULL OR failing_since <= now() - $4::interval)
RETURNING organization_id
"""
# For how many seconds the delivery that has been due for longest waits, as an expression; 0 if none does. What waits
# because its receiver takes no more at once, or takes nothing, is not late.
OVERDUE_SECONDS: Final = f"""
coalesce(({_FIRST}
SELECT extract(epoch FROM now() - min(first.due_at)) FROM first JOIN webhook_endpoints e ON e.id = first.endpoint_id
WHERE first.due_at <= now() AND e.failing_since IS NULL AND ({_FREE}) > 0), 0)::float8
"""


@dataclass(frozen=True, kw_only=True)
class ClaimedDelivery:
    """A delivery that this process is to try now.

    Attributes:
        claim: the number of the claim.
        event_id: the header `webhook-id`.
        failures: how many tries have failed before.
        secret: sealed; None if the endpoint was deleted in this moment.
        former_secret: sealed; None if only one signs.
    """

    id: uuid.UUID
    claim: int
    organization_id: str
    endpoint_id: str
    event_id: str
    failures: int
    type: str
    body: str
    url: str
    secret: bytes | None
    former_secret: bytes | None


@dataclass(frozen=True)
class Outcome:
    """What has become of a try.

    Attributes:
        began_at: when it began.
        duration_ms: how long it took.
        status: the HTTP status; None if there was no response.
        reason: why it has failed; None if it has not.
        response: the beginning of the response's body.
        retry_after: how long the receiver wants to be left alone; None if it has not said so.
    """

    began_at: datetime
    duration_ms: int
    status: int | None
    reason: str | None
    response: str | None = None
    retry_after: timedelta | None = None

    @property
    def is_success(self) -> bool:
        return self.reason is None


async def claim(tx: Transaction, limit: int, lease: timedelta) -> Sequence[ClaimedDelivery]:
    """Claim deliveries that are due, `limit` at most, for the time of a lease. What was switched off is given up."""
    endpoints = await tx.fetch(_LOCK_ENDPOINTS, limit)
    off = [row["id"] for row in endpoints if row["is_off"]]
    if off:
        await tx.fetch(_GIVE_UP, off, _GIVE_UP_SIZE)
    on = [row["id"] for row in endpoints if not row["is_off"]]
    rows = await tx.fetch(_CLAIM, on, limit, lease) if on else []
    return [ClaimedDelivery(**row) for row in rows]


async def note_delivered(tx: Transaction, delivery: ClaimedDelivery, outcome: Outcome) -> bool:
    """Note that the receiver has taken the event; False if another process has claimed it since."""
    if not await _note(tx, delivery, outcome, DeliveryState.DELIVERED, timedelta(0)):
        return False
    await tx.execute(_WORKS, delivery.endpoint_id)
    return True


async def note_failed(tx: Transaction, delivery: ClaimedDelivery, outcome: Outcome, next_in: timedelta | None) -> bool:
    """Note that a try has failed, and when the next one is due; None: there is none. False as `note_delivered`.

    An endpoint of which nothing has succeeded for `FAILING_FOR` is disabled.
    """
    state = DeliveryState.FAILED if next_in is None else DeliveryState.PENDING
    if not await _note(tx, delivery, outcome, state, next_in or timedelta(0)):
        return False
    await tx.execute(_FAILS, delivery.endpoint_id)
    await _disable(tx, delivery, DisabledReason.FAILING, FAILING_FOR)
    return True


async def note_gone(tx: Transaction, delivery: ClaimedDelivery, outcome: Outcome) -> bool:
    """Note that there is no receiver any more, and disable the endpoint; False as `note_delivered`."""
    if not await _note(tx, delivery, outcome, DeliveryState.FAILED, timedelta(0)):
        return False
    await _disable(tx, delivery, DisabledReason.GONE, None)
    return True


async def hand_back(tx: Transaction, delivery: ClaimedDelivery) -> None:
    """Let another process make the try at once."""
    await tx.execute(_HAND_BACK, delivery.id, delivery.claim)


async def _note(
    tx: Transaction, delivery: ClaimedDelivery, outcome: Outcome, state: DeliveryState, next_in: timedelta
) -> bool:
    kept = (outcome.began_at, outcome.duration_ms, outcome.status, outcome.reason, outcome.response)
    return await tx.fetchval(_NOTE, delivery.id, delivery.claim, state.value, next_in, *kept) is not None


async def _disable(
    tx: Transaction, delivery: ClaimedDelivery, reason: DisabledReason, failing_for: timedelta | None
) -> None:
    organization_id: str | None = await tx.fetchval(
        _DISABLE, delivery.endpoint_id, delivery.url, reason.value, failing_for
    )
    if organization_id is not None:
        after = {"name": delivery.url.partition("?")[0], "reason": reason.value}
        log_change(
            tx,
            SERVER,
            "webhook_endpoint_disabled",
            object_id=delivery.endpoint_id,
            organization_id=organization_id,
            after=after,
        )
