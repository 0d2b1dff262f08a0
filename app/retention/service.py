"""Deletes what is older than the settings keep it; nothing of the ledger, and nothing that was generated."""

from collections.abc import Mapping
from time import monotonic

from app.audit.actor import SERVER, Actor
from app.audit.service import log_change
from app.core.database import Database, Transaction
from app.idempotency.repository import count_expired
from app.input_files.service import count_prunable as count_prunable_files
from app.retention import pruning, repository, runs, seals
from app.retention.models import Kind
from app.retention.policy import RetentionPolicy
from app.retention.pruning import Pruned

# A round of a worker's loop must not take longer than a minute.
_MOST_SECONDS = 20.0


async def prune_due(database: Database, policy: RetentionPolicy) -> None:
    """Prune what is due: each kind once an hour, by one process at a time. What a round does not manage goes on later.

    Keys for repeating requests are not among it: they are forgotten every few seconds.
    """
    for kind in (Kind.SESSIONS, Kind.METERING, Kind.WEBHOOKS, Kind.INPUT_FILES):
        await prune(database, policy, kind, SERVER)


async def prune(
    database: Database, policy: RetentionPolicy, kind: Kind, actor: Actor, *, now: bool = False
) -> Pruned | None:
    """Prune rows of one kind for some seconds.

    Args:
        database: the database.
        policy: for how long what is kept.
        kind: what is pruned.
        actor: who does so.
        now: whether it is done even if it is not due.

    Returns:
        What was removed; None if the policy keeps the kind for ever, it is not due, or another process is at it.
    """
    if not policy.prunes(kind):
        return None
    async with database.transaction() as tx:
        lease_until = await runs.claim(tx, kind, now=now)
    if lease_until is None:
        return None
    pruned = await _prune(database, policy, kind, monotonic() + _MOST_SECONDS)
    async with database.transaction() as tx:
        total = await runs.leave(tx, kind, lease_until, pruned.removed, is_done=pruned.is_done)
        if total and pruned.is_done:
            log_change(tx, actor, "data_pruned", object_id=kind.value, after={"removed": total})
    return pruned


async def _prune(database: Database, policy: RetentionPolicy, kind: Kind, deadline: float) -> Pruned:
    if kind is Kind.SESSIONS and policy.sessions is not None:
        return await pruning.prune_sessions(database, policy.sessions, deadline)
    if kind is Kind.METERING and policy.metering is not None:
        return await pruning.prune_metering(database, policy.metering, deadline)
    if kind is Kind.WEBHOOKS and policy.webhooks is not None:
        return await pruning.prune_webhooks(database, policy.webhooks, deadline)
    if kind is Kind.INPUT_FILES:
        return await pruning.prune_input_files(database, deadline)
    return await pruning.prune_idempotency_keys(database, deadline)


async def count_prunable(tx: Transaction, policy: RetentionPolicy) -> Mapping[Kind, int]:
    """How many rows of each kind are old enough to go. Holds go only if the charges of their month can be sealed."""
    counts = {Kind.IDEMPOTENCY_KEYS: await count_expired(tx)}
    if policy.sessions is not None:
        counts[Kind.SESSIONS] = await repository.count_old_sessions(tx, policy.sessions)
    if policy.metering is not None:
        counts[Kind.METERING] = await repository.count_old_holds(tx, policy.metering)
    if policy.webhooks is not None:
        counts[Kind.WEBHOOKS] = await repository.count_old_webhooks(tx, policy.webhooks)
    counts[Kind.INPUT_FILES] = await count_prunable_files(tx)
    return counts


async def find_faults(tx: Transaction) -> Mapping[str, str]:
    """For each organization whose charges cannot be sealed, why."""
    return await seals.find_faults(tx)
