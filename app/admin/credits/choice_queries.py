"""What the filters of the ledger offer to choose from. None of it looks through the ledger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.database import Transaction

_MOST = 200

_KEYS = f"""
SELECT id, name FROM api_keys WHERE organization_id = $1 AND ($2::text IS NULL OR user_id = $2)
ORDER BY created_at DESC LIMIT {_MOST}
"""
_AGENTS = f"SELECT name FROM agents WHERE organization_id = $1 ORDER BY name LIMIT {_MOST}"
_MODELS = f"SELECT name FROM models ORDER BY name LIMIT {_MOST}"
_USERS = f"""
SELECT u.id, u.email FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.organization_id = $1 AND ($2::text IS NULL OR u.id = $2) ORDER BY u.email LIMIT {_MOST}
"""
_USER_NAMES = "SELECT id, email FROM users WHERE id = ANY($1::text[])"

Option = tuple[str, str]


@dataclass(frozen=True)
class Choices:
    """The values of each filter with the words for them."""

    keys: Sequence[Option]
    agents: Sequence[Option]
    models: Sequence[Option]
    users: Sequence[Option]


async def read_choices(tx: Transaction, organization_id: str, only_user: str | None) -> Choices:
    """What entries of the organization, or of one of its users, may be filtered by."""
    keys = await tx.fetch(_KEYS, organization_id, only_user)
    users = await tx.fetch(_USERS, organization_id, only_user)
    return Choices(
        keys=[(row["id"], row["name"]) for row in keys],
        agents=[(row["name"], row["name"]) for row in await tx.fetch(_AGENTS, organization_id)],
        models=[(row["name"], row["name"]) for row in await tx.fetch(_MODELS)],
        users=[(row["id"], row["email"]) for row in users],
    )


async def name_users(tx: Transaction, ids: Sequence[str]) -> Mapping[str, str]:
    """The addresses of users that have spent the organization's credits, by id."""
    return {row["id"]: row["email"] for row in await tx.fetch(_USER_NAMES, list(ids))}
