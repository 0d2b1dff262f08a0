"""Events, written in the transaction that makes them happen, and a delivery of each to every endpoint that wants it.

Most organizations have no endpoint. So whoever ends many things at once asks within a statement of its own, by
`wants_sql`, whether anybody wants to be told, and writes events only then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from app.core.clock import moment_of, whole_seconds
from app.core.crypto import new_id
from app.core.database import Transaction
from app.webhook_endpoints.models import TEST_EVENT, EventType

# The condition that events are sent to an endpoint.
IS_ON: Final = "deleted_at IS NULL AND disabled_at IS NULL"

# $1 the organization; then the columns of the events; $6 is the one endpoint that gets them, or null for all that want.
_WRITE: Final = f"""
WITH written AS (
    INSERT INTO webhook_events (id, organization_id, type, subject, body)
    SELECT id, $1, type, subject, body
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) AS given (id, type, subject, body)
    RETURNING id, type
)
INSERT INTO webhook_deliveries (organization_id, endpoint_id, event_id, event_type)
SELECT $1, e.id, written.id, written.type
FROM written JOIN webhook_endpoints e ON e.organization_id = $1 AND {IS_ON}
  AND CASE WHEN $6::text IS NULL THEN written.type = ANY (e.events) ELSE e.id = $6 END
RETURNING id
"""


@dataclass(frozen=True)
class NewEvent:
    """Something that happens in the transaction that writes it.

    Attributes:
        type: what happens.
        subject: the id of what it happens to.
        data: what the event says, in values that JSON has and Postgres can store. Receivers get exactly this, even
            if they get it days later.
    """

    type: EventType
    subject: str
    data: Mapping[str, Any]


def wants_sql(organization: str, *types: EventType) -> str:
    """The SQL expression whether any endpoint of the organization wants events of one of these types.

    Args:
        organization: a parameter or column with its id.
        types: the types.
    """
    listed = ", ".join(f"'{each}'" for each in types)
    return f"""
    EXISTS (SELECT FROM webhook_endpoints
            WHERE organization_id = {organization} AND {IS_ON} AND events && ARRAY[{listed}])
    """


async def write(tx: Transaction, organization_id: str, events: Sequence[NewEvent]) -> None:
    """Write events. Each is sent to every endpoint of the organization that wants it, once this is committed."""
    await _write(tx, organization_id, [(each.type.value, each.subject, each.data) for each in events], None)


async def write_test(tx: Transaction, organization_id: str, endpoint_id: str) -> str | None:
    """Write an event that only tries out an endpoint. Returns the id of its delivery; None if the endpoint is off."""
    data = {"endpoint_id": endpoint_id}
    return await _write(tx, organization_id, [(TEST_EVENT, endpoint_id, data)], endpoint_id)


async def _write(
    tx: Transaction,
    organization_id: str,
    events: Sequence[tuple[str, str, Mapping[str, Any]]],
    endpoint_id: str | None,
) -> str | None:
    at = whole_seconds(await moment_of(tx))
    ids = [new_id("evt") for _ in events]
    bodies = [orjson.dumps({"type": kind, "timestamp": at, "data": data}).decode() for kind, _, data in events]
    kinds, subjects = [kind for kind, _, _ in events], [subject for _, subject, _ in events]
    delivery = await tx.fetchval(_WRITE, organization_id, ids, kinds, subjects, bodies, endpoint_id)
    return None if delivery is None else str(delivery)
