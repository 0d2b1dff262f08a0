"""Files that clients have sent go when no attempt of their generations can need them."""

import uuid
from datetime import timedelta

from app.audit.actor import SERVER
from app.core.database import Database
from app.retention.models import Kind
from app.retention.policy import RetentionPolicy
from app.retention.service import count_prunable, prune
from tests.factories import Organization

_GENERATION = """
INSERT INTO generations (id, organization_id, user_id, model, input, prompt, price_id, max_retries, file_token, status,
                         retry_count, deadline_at, webhook_nonce, failures, is_parked, content_type, error_message,
                         credit_cost, completed_at)
SELECT $1, $2, $3, 'simulator/image', '{}', '', (SELECT min(id) FROM prices), 3, gen_random_uuid()::text, $4,
       $5, now(), 'x', 0, false, CASE WHEN $4 = 'completed' THEN 'image' END, CASE WHEN $4 = 'failed' THEN 'No' END,
       CASE WHEN $4 IN ('completed', 'failed') THEN 0 END, CASE WHEN $4 IN ('completed', 'failed') THEN now() END
"""
_FILE = """
INSERT INTO input_files (id, organization_id, request_key, media_type, sha256, data, generation_ids, created_at)
VALUES ($1, $2, $3, 'image/png', repeat('0', 64), '\\x00', $4, now() - $5::interval)
"""


async def test_only_what_no_attempt_can_need_goes(database: Database, organization: Organization) -> None:
    names: dict[uuid.UUID, str] = {}
    async with database.transaction() as tx:
        for name, key, age, *generations in (
            ("made", None, 0, ("completed", 0)),
            ("made, and may be repeated", b"x", 23, ("completed", 0)),
            ("made, and repeated no more", b"x", 25, ("completed", 0)),
            ("one is being made", None, 999, ("completed", 0), ("processing", 0)),
            ("waits", None, 999, ("pending", 0)),
            ("may be retried", None, 24 * 29, ("failed", 2)),
            ("was not retried", None, 24 * 31, ("failed", 2)),
            ("has failed for good", None, 1, ("failed", 3)),
        ):
            ids = [uuid.uuid4() for _ in generations]
            for each, (status, retries) in zip(ids, generations, strict=True):
                await tx.execute(_GENERATION, each, organization.id, organization.user_id, status, retries)
            names[file_id := uuid.uuid4()] = name
            await tx.execute(_FILE, file_id, organization.id, key, ids, timedelta(hours=age))
        counted = await count_prunable(tx, RetentionPolicy())

    pruned = await prune(database, RetentionPolicy(), Kind.INPUT_FILES, SERVER, now=True)

    async with database.transaction() as tx:
        left = {names[row["id"]] for row in await tx.fetch("SELECT id FROM input_files")}
    assert left == {"made, and may be repeated", "one is being made", "waits", "may be retried"}
    assert pruned is not None
    assert (counted[Kind.INPUT_FILES], pruned.removed, pruned.is_done) == (4, 4, True)
