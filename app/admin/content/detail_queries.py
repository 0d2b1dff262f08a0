"""What the page of one content reads."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.core.database import Transaction
from app.credits.references import generation_reference, generation_reference_sql

_MOST_ATTEMPTS = 10


@dataclass(frozen=True)
class AttemptRow:
    """What is known of one attempt. Moments are None where it is not known when, or if, something happened.

    `sent_at` and `answered_at` are those of the call that asked the vendor for it.
    """

    number: int
    prediction_id: str | None
    created_at: datetime
    sent_at: datetime | None
    answered_at: datetime | None
    finished_at: datetime | None
    ended_at: datetime | None
    ending: str | None
    error_message: str | None
    agent: str | None
    key_id: str | None
    key_name: str | None
    user_email: str | None
    request_id: str | None
    held: Decimal | None


_ATTEMPTS = f"""
SELECT a.number, a.prediction_id, a.created_at, c.sent_at, c.answered_at, a.finished_at, a.ended_at, a.ending,
       left(a.error_message, 500) AS error_message, a.agent, a.api_key_id AS key_id, k.name AS key_name,
       u.email AS user_email, a.request_id, h.amount AS held
FROM attempts a
LEFT JOIN LATERAL (
    SELECT min(sent_at) AS sent_at, min(ended_at) FILTER (WHERE prediction_id = a.prediction_id) AS answered_at
    FROM create_calls WHERE generation_id = a.generation_id AND attempt = a.number
) c ON true
LEFT JOIN api_keys k ON k.id = a.api_key_id AND k.organization_id = a.organization_id
LEFT JOIN users u ON u.id = a.user_id
LEFT JOIN credit_holds h ON h.reference = {generation_reference_sql("a.generation_id", "a.number")}
WHERE a.generation_id = $1 AND a.organization_id = $2
ORDER BY a.number DESC LIMIT {_MOST_ATTEMPTS}
"""


async def list_attempts(tx: Transaction, organization_id: str, content_id: uuid.UUID) -> list[AttemptRow]:
    """The attempts of a content, oldest first; of very many the last ones."""
    rows = await tx.fetch(_ATTEMPTS, content_id, organization_id)
    return [AttemptRow(**dict(row)) for row in reversed(rows)]


@dataclass(frozen=True)
class Charge:
    """What an attempt cost, and what that was computed from.

    Prices are credits; those from `per_call` on are of the price at which the attempt was accepted. `entry` is the
    reference of the ledger entry, None if nothing was charged.
    """

    predict_time: Decimal | None
    outputs: int | None
    is_estimated: bool
    cost: Decimal
    per_call: Decimal
    per_second: Decimal
    per_output: Decimal
    ceiling: Decimal | None
    effective_at: datetime
    entry: str | None
    charged: Decimal | None


_CHARGE = """
SELECT e.predict_time, e.outputs, e.is_estimated, e.cost, p.per_call, p.per_second, p.per_output, p.ceiling,
       p.effective_at, l.reference AS entry, -l.amount AS charged
FROM metering_events e JOIN prices p ON p.id = e.price_id
LEFT JOIN ledger_entries l ON l.reference = e.call_id AND l.organization_id = e.organization_id
WHERE e.call_id = $1 AND e.organization_id = $2
"""


async def find_charge(tx: Transaction, organization_id: str, content_id: uuid.UUID, attempt: int) -> Charge | None:
    """What an attempt was charged; None if it has not completed."""
    row = await tx.fetchrow(_CHARGE, generation_reference(content_id, attempt), organization_id)
    return Charge(**dict(row)) if row else None


async def find_session(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> str | None:
    """The public id of a session; None if it was deleted."""
    name: str | None = await tx.fetchval(
        "SELECT public_id FROM sessions WHERE id = $1 AND organization_id = $2", session_id, organization_id
    )
    return name


async def find_ceiling(tx: Transaction, model: str) -> Decimal | None:
    """What a retry of the model holds at today's price; None if it has none that can be held."""
    ceiling: Decimal | None = await tx.fetchval(
        "SELECT ceiling FROM prices WHERE model_name = $1 AND effective_at <= now() ORDER BY effective_at DESC LIMIT 1",
        model,
    )
    return ceiling
