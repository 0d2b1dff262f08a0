from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.core.database import Transaction

_CHAT_MODELS = """
SELECT m.name, p.per_million_prompt_tokens AS prompt, p.per_million_completion_tokens AS completion
FROM models m
JOIN LATERAL (
    SELECT * FROM prices WHERE model_name = m.name AND effective_at <= now() ORDER BY effective_at DESC LIMIT 1
) p ON true
WHERE m.is_active AND m.kind = 'chat'
ORDER BY m.name
"""
_SPENT = """
SELECT agent, sum(cost) AS cost FROM metering_events
WHERE organization_id = $1 AND recorded_at >= now() - interval '30 days' AND agent IS NOT NULL
GROUP BY agent
"""
_KNOWN = "SELECT id, name, updated_at FROM agents WHERE organization_id = $1"
_EMAILS = "SELECT id, email FROM users WHERE id = ANY($1::text[])"


@dataclass(frozen=True)
class ChatModel:
    """A chat model that agents may use, with what a million tokens cost, in credits."""

    name: str
    prompt: Decimal
    completion: Decimal


@dataclass(frozen=True)
class KnownAgent:
    """An agent's id, and when it was changed last."""

    id: str
    updated_at: datetime


async def list_chat_models(tx: Transaction) -> list[ChatModel]:
    """The active chat models that have a price, by name."""
    rows = await tx.fetch(_CHAT_MODELS)
    return [ChatModel(row["name"], row["prompt"], row["completion"]) for row in rows]


async def sum_spent(tx: Transaction, organization_id: str) -> dict[str, Decimal]:
    """What each agent's calls of the last 30 days cost, by its name. Agents that made none are absent."""
    return {row["agent"]: row["cost"] for row in await tx.fetch(_SPENT, organization_id)}


async def list_known(tx: Transaction, organization_id: str) -> dict[str, KnownAgent]:
    """What the list needs besides the agents' entries, by their names."""
    rows = await tx.fetch(_KNOWN, organization_id)
    return {row["name"]: KnownAgent(row["id"], row["updated_at"]) for row in rows}


async def find_emails(tx: Transaction, user_ids: Collection[str]) -> dict[str, str]:
    """The addresses of users, by their ids."""
    return {row["id"]: row["email"] for row in await tx.fetch(_EMAILS, list(user_ids))}
