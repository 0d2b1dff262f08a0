from collections.abc import Mapping, Sequence

from app.core.database import Transaction

_KEY_NAMES = "SELECT id, name FROM api_keys WHERE organization_id = $1 AND id = ANY($2::text[])"


async def name_keys(tx: Transaction, organization_id: str, ids: Sequence[str]) -> Mapping[str, str]:
    """The names of keys of the organization, by id. Those that are deleted have none."""
    return {row["id"]: row["name"] for row in await tx.fetch(_KEY_NAMES, organization_id, list(ids))}
