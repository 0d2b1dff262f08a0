"""The log of administrative changes: what an operator, or a user of the console, does to what the server is run with.

Audited are organizations, users, members, plans, keys, agents, models and granted credits, also those that the server
itself grants every month. A change that leaves everything as it was is not logged. What clients do with their keys,
such as chats and retries of content, is their use of the server: sessions, content and the ledger keep it.
"""

import logging
from collections.abc import Mapping
from typing import Any

from app.audit.actor import Actor
from app.core.database import Transaction

logger = logging.getLogger(__name__)


def log_change(
    tx: Transaction,
    actor: Actor,
    event: str,
    *,
    object_id: str | None = None,
    organization_id: str | None = None,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Log a change of administrative state in one line, once its transaction is committed.

    Args:
        tx: the transaction that makes the change; if it is rolled back, nothing is logged.
        actor: who made the change.
        event: what happened, such as `key_revoked`.
        object_id: the id or name of what changed. Never a secret.
        organization_id: the organization it belongs to; None for what belongs to none, such as a plan.
        before: what changed, as it was before.
        after: what changed, as it is now.
    """
    details = {
        "actor_kind": actor.kind.value,
        "actor_id": actor.id,
        "organization_id": organization_id,
        "object_id": object_id,
    }

    async def write() -> None:
        logger.info(event, extra=details)

    tx.after_commit(write)
