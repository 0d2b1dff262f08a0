"""Old events go with their deliveries and tries; what is still to be delivered stays."""

from datetime import timedelta
from time import monotonic

from app.core.database import Database
from app.retention import pruning
from app.retention.models import Kind
from app.retention.policy import RetentionPolicy
from app.retention.service import count_prunable
from tests.factories import Organization

_KEPT = timedelta(days=30)
_ENDPOINT = """
INSERT INTO webhook_endpoints (id, organization_id, url, events, deleted_at) VALUES ($1, $2, 'https://x', '{}', $3)
"""
_EVENT = """
WITH event AS (
    INSERT INTO webhook_events (id, organization_id, type, body, created_at)
    VALUES ($1, $2, 'credits.low', '{}', now() - $4::interval) RETURNING id
), delivery AS (
    INSERT INTO webhook_deliveries (organization_id, endpoint_id, event_id, event_type, state, ended_at)
    SELECT $2, $3, $1, 'credits.low', $5, CASE WHEN $5 <> 'pending' THEN now() END RETURNING id
)
INSERT INTO webhook_tries (delivery_id, number, began_at, duration_ms) SELECT id, 1, now(), 1 FROM delivery
"""


async def test_old_events_go_and_those_that_wait_stay(database: Database, organization: Organization) -> None:
    async with database.transaction() as tx:
        old, new = await tx.fetchval("SELECT now() - interval '31 days'"), await tx.fetchval("SELECT now()")
        await tx.execute(_ENDPOINT, "gone", organization.id, old)
        await tx.execute(_ENDPOINT, "deleted", organization.id, new)
        for name, age, state in (
            *(("a", 31, "delivered"), ("b", 31, "failed")),
            *(("c", 31, "pending"), ("d", 29, "failed")),
        ):
            endpoint = "gone" if name in "ab" else "deleted"
            await tx.execute(_EVENT, name, organization.id, endpoint, timedelta(days=age), state)
        counted = await count_prunable(tx, RetentionPolicy(webhooks=_KEPT))

    pruned = await pruning.prune_webhooks(database, _KEPT, monotonic() + 20)

    async with database.transaction() as tx:
        events = [row["id"] for row in await tx.fetch("SELECT id FROM webhook_events ORDER BY id")]
        left = [
            await tx.fetchval(f"SELECT count(*) FROM {table}")
            for table in ("webhook_deliveries", "webhook_tries", "webhook_endpoints")
        ]
    assert (counted[Kind.WEBHOOKS], pruned.removed, pruned.is_done) == (2, 2, True)
    assert (events, left) == (["c", "d"], [2, 2, 1])
