"""What depends on plans: how many organizations have each, and whose keys have more than their plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.core.database import Transaction

ORGANIZATIONS_SHOWN = 10
KEYS_SHOWN = 20

_COUNTS = "SELECT plan_name, count(*) AS organizations FROM organizations GROUP BY 1"
_ORGANIZATIONS = "SELECT id, name FROM organizations WHERE plan_name = $1 ORDER BY lower(name), id LIMIT $2"
_KEYS = """
SELECT k.id, k.name, k.requests_per_minute, o.id AS organization_id, o.name AS organization_name
FROM organizations o JOIN api_keys k ON k.organization_id = o.id
WHERE o.plan_name = $1 AND k.requests_per_minute > $2 AND (k.revoked_at IS NULL OR k.revoked_at > now())
AND (k.expires_at IS NULL OR k.expires_at > now())
ORDER BY k.requests_per_minute DESC, k.id LIMIT $3
"""


@dataclass(frozen=True)
class CutDownKey:
    """A key whose own limit is above what its plan allows, so that the plan's applies."""

    id: str
    name: str
    requests_per_minute: int
    organization_id: str
    organization_name: str


async def count_organizations(tx: Transaction) -> Mapping[str, int]:
    """How many organizations have each plan, by the plan's name."""
    return {row["plan_name"]: row["organizations"] for row in await tx.fetch(_COUNTS)}


async def list_organizations(tx: Transaction, plan: str) -> Sequence[tuple[str, str]]:
    """Ids and names of the first organizations that have the plan."""
    return [(row["id"], row["name"]) for row in await tx.fetch(_ORGANIZATIONS, plan, ORGANIZATIONS_SHOWN)]


async def list_cut_down(tx: Transaction, plan: str, requests_per_minute: int) -> Sequence[CutDownKey]:
    """Usable keys with more requests a minute than that; of many, the first and one more than is shown."""
    return [CutDownKey(**row) for row in await tx.fetch(_KEYS, plan, requests_per_minute, KEYS_SHOWN + 1)]
