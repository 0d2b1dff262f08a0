"""The log of administrative changes: what an operator, or a user of the console, does to what the server is run with.

Audited are organizations, users, members, plans, keys, agents, models and granted credits, also those that the server
itself grants every month. A change that leaves everything as it was is not logged. What clients do with their keys,
such as chats and retries of content, is their use of the server: sessions, content and the ledger keep it.
"""

import logging
from collections.abc import Mapping
from typing import Any

from app.audit import repository
from app.audit.actor import Actor, ActorKind
from app.audit.models import AuditEvent
from app.audit.values import kept
from app.core.database import Transaction
from app.core.request_context import request_id_var, source_var

logger = logging.getLogger(__name__)

# An index has it, and takes no more than a few thousand bytes.
_MOST_OF_A_NAME = 200


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
    """Log a change of administrative state: as a row in the transaction that makes it, and in one line after that.

    Where the change comes from, and the id of the request or command, are those of the current task.

    Args:
        tx: the transaction that makes the change; if it is rolled back, nothing is logged.
        actor: who made the change.
        event: what happened, such as `key_revoked`. `app.admin.audit.sentences` says it in words.
        object_id: the id or name of what changed. Never a secret.
        organization_id: the organization it belongs to; None for what belongs to none, such as a plan.
        before: what was replaced, by name, with `name` among it if the object has one. Never a secret.
        after: what replaced it, by the same names. What is equal in both only describes the object.
    """
    is_own = actor.kind is ActorKind.SERVER
    change = AuditEvent(
        actor_kind=actor.kind.value,
        actor_id=actor.id,
        organization_id=organization_id,
        event=event,
        object_id=object_id,
        object_name=_name_in(after) or _name_in(before),
        before=kept(before),
        after=kept(after),
        source=None if is_own else source_var.get(),
        request_id=request_id_var.get(),
    )
    repository.add_event(tx, change)
    details = {
        "actor_kind": actor.kind.value,
        "actor_id": actor.id,
        "organization_id": organization_id,
        "object_id": object_id,
    }

    async def write() -> None:
        logger.info(event, extra=details)

    tx.after_commit(write)


def _name_in(values: Mapping[str, Any] | None) -> str | None:
    name = (values or {}).get("name")
    return name[:_MOST_OF_A_NAME] if isinstance(name, str) else None
