"""The SQL of what asks for generations. Its siblings hold the SQL of what the worker does."""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from app.core.database import Transaction
from app.generations.models import GeneratedContent

_RETRY = """
UPDATE generated_content
SET status = 'pending', retry_count = retry_count + 1, due_at = now(), deadline_at = now() + $4,
    setbacks = 0, is_parked = $5,
    prediction_id = NULL, outcome = NULL, content_type = NULL, output_url = NULL, error_message = NULL,
    credit_cost = NULL, started_at = NULL, completed_at = NULL
WHERE organization_id = $1 AND id = $2 AND status = 'failed' AND retry_count = $3 AND retry_count < max_retries
RETURNING retry_count
"""

# Parked rows count too: who comes later starts later. The limit ends the count as soon as the answer is known.
_IS_FULL = """
SELECT p.concurrent_generations <= (
    SELECT count(*) FROM (
        SELECT FROM generated_content c
        WHERE c.organization_id = o.id AND c.status IN ('pending', 'processing') LIMIT p.concurrent_generations
    ) c
)
FROM organizations o JOIN plans p ON p.name = o.plan_name
WHERE o.id = $1
"""


async def find_lost(
    tx: Transaction, request_key: bytes, turn_id: str | None, model: str, values: Mapping[str, Any], *, since: datetime
) -> GeneratedContent | None:
    """What another turn of the same request has asked for since then; locked against a third."""
    query = (
        select(GeneratedContent)
        .where(
            GeneratedContent.request_key == request_key,
            GeneratedContent.turn_id != turn_id,
            GeneratedContent.model == model,
            GeneratedContent.input == dict(values),
            GeneratedContent.status != "failed",
            GeneratedContent.created_at > since,
        )
        .order_by(GeneratedContent.created_at, GeneratedContent.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return (await tx.session.scalars(query)).first()


async def is_full(tx: Transaction, organization_id: str) -> bool:
    """Whether the organization has as many generations that have not ended as its plan lets run at once."""
    return bool(await tx.fetchval(_IS_FULL, organization_id))


async def retry(
    tx: Transaction,
    organization_id: str,
    content_id: uuid.UUID,
    retry_count: int,
    deadline: timedelta,
    *,
    is_parked: bool,
) -> int | None:
    """Make a failed generation pending again if its state is still the one that was read. Its new attempt, or None."""
    attempt: int | None = await tx.fetchval(_RETRY, organization_id, content_id, retry_count, deadline, is_parked)
    return attempt
