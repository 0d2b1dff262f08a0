"""The SQL of endpoints, and of what is shown of deliveries. What the worker does with them is in `sending.py`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Self

from asyncpg import Record

from app.core.database import Transaction
from app.webhook_endpoints.models import DeliveryState, DisabledReason, EventType

# Keeps two requests from adding one endpoint too many. Rows that refer to the organization do not wait for it.
_LOCK: Final = "SELECT FROM organizations WHERE id = $1 FOR NO KEY UPDATE"

_COLUMNS: Final = """
id, organization_id, url, description, events, created_at, failing_since, disabled_at, disabled_reason,
CASE WHEN former_until > now() THEN former_until END AS former_until
"""
_OWN: Final = "organization_id = $1 AND id = $2 AND deleted_at IS NULL"
_ADD: Final = f"""
INSERT INTO webhook_endpoints (id, organization_id, url, description, events, secret) VALUES ($1, $2, $3, $4, $5, $6)
RETURNING {_COLUMNS}
"""
_LIST: Final = f"""
SELECT {_COLUMNS} FROM webhook_endpoints WHERE organization_id = $1 AND deleted_at IS NULL ORDER BY created_at, id
"""
_FIND: Final = f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE {_OWN}"
_LOCK_ONE: Final = f"{_FIND} FOR NO KEY UPDATE"
_CHANGE: Final = (
    f"UPDATE webhook_endpoints SET url = $3, description = $4, events = $5 WHERE {_OWN} RETURNING {_COLUMNS}"
)
_DISABLE: Final = f"""
UPDATE webhook_endpoints SET disabled_at = now(), disabled_reason = '{DisabledReason.ASKED}'
WHERE {_OWN} RETURNING {_COLUMNS}
"""
_ENABLE: Final = f"""
UPDATE webhook_endpoints SET disabled_at = NULL, disabled_reason = NULL, failing_since = NULL
WHERE {_OWN} RETURNING {_COLUMNS}
"""
_DELETE: Final = f"""
UPDATE webhook_endpoints SET deleted_at = now(), secret = NULL, former_secret = NULL, former_until = NULL
WHERE {_OWN}
"""
_SECRET: Final = f"SELECT secret FROM webhook_endpoints WHERE {_OWN}"
_ROTATE: Final = f"""
UPDATE webhook_endpoints SET secret = $3, former_secret = $4, former_until = now() + $5::interval
WHERE {_OWN} RETURNING {_COLUMNS}
"""

_DELIVERY: Final = """
d.id, d.organization_id, d.endpoint_id, d.event_id, d.event_type, v.subject, d.state, d.tries, d.is_sending,
CASE WHEN d.state = 'pending' THEN d.due_at END AS next_try_at, d.created_at, d.ended_at,
t.status AS last_status, t.reason AS last_reason
"""
_TABLES: Final = """
FROM webhook_deliveries d JOIN webhook_events v ON v.id = d.event_id
LEFT JOIN webhook_tries t ON t.delivery_id = d.id AND t.number = d.tries
"""
_OF_ORGANIZATION: Final = "d.organization_id = $1"
_FIND_DELIVERY: Final = f"SELECT {_DELIVERY} {_TABLES} WHERE d.organization_id = $1 AND d.id = $2"
_BODY: Final = """
SELECT body FROM webhook_events v JOIN webhook_deliveries d ON d.event_id = v.id
WHERE d.organization_id = $1 AND d.id = $2
"""
_TRIES: Final = """
SELECT number, began_at, duration_ms, status, reason, response FROM webhook_tries t
JOIN webhook_deliveries d ON d.id = t.delivery_id WHERE d.organization_id = $1 AND d.id = $2
ORDER BY number DESC LIMIT $3
"""
# One that is being sent at the moment is left as it is.
_RESEND: Final = f"""
UPDATE webhook_deliveries d
SET state = '{DeliveryState.PENDING}', due_at = now(), failures = 0, is_sending = false, ended_at = NULL
WHERE d.organization_id = $1 AND d.id = $2 AND NOT (is_sending AND due_at > now())
"""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """Where an organization wants to be told of some events.

    Attributes:
        failing_since: since when every try has failed; None if the last one did not.
        disabled_reason: why nothing is sent to it; None if it is.
        former_until: until when the secret before this one signs as well; None if it does not.
    """

    id: str
    organization_id: str
    url: str
    description: str
    events: Sequence[EventType]
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: DisabledReason | None
    former_until: datetime | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The endpoint of a row of `webhook_endpoints`."""
        reason = row["disabled_reason"]
        # An event that a later version has added is left out.
        events = [EventType(name) for name in row["events"] if name in set(EventType)]
        return cls(**{**row, "events": events, "disabled_reason": DisabledReason(reason) if reason else None})


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """An event on its way to an endpoint, or arrived.

    Attributes:
        event_id: the header `webhook-id` of every try.
        subject: the id of what the event is about.
        tries: how many tries have ended.
        is_sending: whether one is being made, as far as is known.
        next_try_at: when the next try is due; None if there is none.
        last_status: the HTTP status of the last try; None if there was no response.
        last_reason: why the last try failed; None if it did not.
    """

    id: uuid.UUID
    organization_id: str
    endpoint_id: str
    event_id: str
    event_type: str
    subject: str | None
    state: DeliveryState
    tries: int
    is_sending: bool
    next_try_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    last_status: int | None
    last_reason: str | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The delivery of a row of `webhook_deliveries`, its event and its last try."""
        return cls(**{**row, "state": DeliveryState(row["state"])})


@dataclass(frozen=True, kw_only=True)
class Try:
    """One try of a delivery: what came back, or why nothing did. `response` is the beginning of the body."""

    number: int
    began_at: datetime
    duration_ms: int
    status: int | None
    reason: str | None
    response: str | None


@dataclass(frozen=True)
class DeliveryFilter:
    """Selects deliveries of an organization. None: whatever it is."""

    organization_id: str
    endpoint_id: str | None = None
    event_type: str | None = None
    state: DeliveryState | None = None


async def lock_organization(tx: Transaction, organization_id: str) -> None:
    """Let nobody else add an endpoint to the organization until the transaction ends."""
    await tx.execute(_LOCK, organization_id)


async def add(
    tx: Transaction, organization_id: str, endpoint_id: str, *, url: str, description: str, events: Sequence[str],
    secret: bytes,
) -> Endpoint:  # fmt: skip
    """Add an endpoint."""
    row = await tx.fetchrow(_ADD, endpoint_id, organization_id, url, description, list(events), secret)
    assert row is not None  # noqa: S101 - an insert returns its row
    return Endpoint.from_row(row)


async def list_endpoints(tx: Transaction, organization_id: str) -> Sequence[Endpoint]:
    """The organization's endpoints, the oldest first."""
    return [Endpoint.from_row(row) for row in await tx.fetch(_LIST, organization_id)]


async def find(tx: Transaction, organization_id: str, endpoint_id: str, *, lock: bool = False) -> Endpoint | None:
    """One endpoint of the organization, and perhaps nobody else changes it until the transaction ends."""
    row = await tx.fetchrow(_LOCK_ONE if lock else _FIND, organization_id, endpoint_id)
    return Endpoint.from_row(row) if row else None


async def change(
    tx: Transaction, endpoint: Endpoint, *, url: str, description: str, events: Sequence[str]
) -> Endpoint | None:
    """Change what an endpoint is; None if it was deleted."""
    row = await tx.fetchrow(_CHANGE, endpoint.organization_id, endpoint.id, url, description, list(events))
    return Endpoint.from_row(row) if row else None


async def switch(tx: Transaction, endpoint: Endpoint, *, is_on: bool) -> Endpoint | None:
    """Enable or disable an endpoint; None if it was deleted."""
    row = await tx.fetchrow(_ENABLE if is_on else _DISABLE, endpoint.organization_id, endpoint.id)
    return Endpoint.from_row(row) if row else None


async def delete(tx: Transaction, endpoint: Endpoint) -> None:
    """Delete an endpoint, with its secrets. Its deliveries stay for a while."""
    await tx.execute(_DELETE, endpoint.organization_id, endpoint.id)


async def find_secret(tx: Transaction, organization_id: str, endpoint_id: str) -> bytes | None:
    """The secret of an endpoint of the organization, as it is stored; None if it has no such endpoint."""
    secret: bytes | None = await tx.fetchval(_SECRET, organization_id, endpoint_id)
    return secret


async def rotate(
    tx: Transaction, endpoint: Endpoint, secret: bytes, former: bytes | None, overlap: timedelta
) -> Endpoint | None:
    """Replace the secret. The former one signs as well for the time of the overlap."""
    until = overlap if former else None
    row = await tx.fetchrow(_ROTATE, endpoint.organization_id, endpoint.id, secret, former, until)
    return Endpoint.from_row(row) if row else None


async def list_deliveries(
    tx: Transaction, wanted: DeliveryFilter, *, after: tuple[datetime, uuid.UUID] | None, limit: int
) -> Sequence[Delivery]:
    """Deliveries that the filter selects, the newest first, after a position in that order."""
    conditions, values = [_OF_ORGANIZATION], [wanted.organization_id]
    for column, value in (
        ("endpoint_id", wanted.endpoint_id),
        ("event_type", wanted.event_type),
        ("state", wanted.state and wanted.state.value),
    ):
        if value is not None:
            # Postgres rejects NUL characters in text.
            values.append(value.replace("\0", ""))
            conditions.append(f"d.{column} = ${len(values)}")
    parameters: list[object] = [*values]
    if after is not None:
        parameters += after
        conditions.append(f"(d.created_at, d.id) < (${len(values) + 1}, ${len(values) + 2})")
    query = f"""
        SELECT {_DELIVERY} {_TABLES} WHERE {" AND ".join(conditions)}
        ORDER BY d.created_at DESC, d.id DESC LIMIT ${len(parameters) + 1}
    """
    return [Delivery.from_row(row) for row in await tx.fetch(query, *parameters, limit)]


async def find_delivery(tx: Transaction, organization_id: str, delivery_id: uuid.UUID) -> Delivery | None:
    """One delivery of the organization."""
    row = await tx.fetchrow(_FIND_DELIVERY, organization_id, delivery_id)
    return Delivery.from_row(row) if row else None


async def find_body(tx: Transaction, organization_id: str, delivery_id: uuid.UUID) -> str:
    """What a delivery of the organization sends."""
    body: str = await tx.fetchval(_BODY, organization_id, delivery_id)
    return body


async def list_tries(tx: Transaction, organization_id: str, delivery_id: uuid.UUID, limit: int) -> Sequence[Try]:
    """The last tries of a delivery of the organization, the newest first."""
    return [Try(**row) for row in await tx.fetch(_TRIES, organization_id, delivery_id, limit)]


async def resend(tx: Transaction, organization_id: str, delivery_id: uuid.UUID) -> None:
    """Make a delivery due at once, with all its tries to come."""
    await tx.execute(_RESEND, organization_id, delivery_id)
