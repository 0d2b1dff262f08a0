"""Who is in an organization, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.core.database import Transaction

# The rows of the page first; only for these the rest is looked up.
_LIST = """
WITH shown AS MATERIALIZED (
    SELECT m.user_id, m.role, m.suspended_at, u.email, u.name
    FROM memberships m JOIN users u ON u.id = m.user_id
    WHERE m.organization_id = $1 AND ($2::text IS NULL OR lower(u.email) > $2)
    ORDER BY lower(u.email) LIMIT $3
)
SELECT shown.*, coalesce(k.keys, 0) AS keys, s.last_seen_at
FROM shown
LEFT JOIN LATERAL (
    SELECT last_seen_at FROM console_sessions WHERE user_id = shown.user_id ORDER BY last_seen_at DESC LIMIT 1
) s ON true
LEFT JOIN (
    SELECT user_id, count(*) AS keys FROM api_keys
    WHERE organization_id = $1 AND (revoked_at IS NULL OR revoked_at > now())
        AND (expires_at IS NULL OR expires_at > now())
    GROUP BY user_id
) k ON k.user_id = shown.user_id
ORDER BY lower(shown.email)
"""
_ONE = """
SELECT m.user_id, m.role, m.suspended_at, u.email, u.name,
       (SELECT count(*) FROM api_keys k WHERE k.organization_id = $1 AND k.user_id = $2
           AND (revoked_at IS NULL OR revoked_at > now()) AND (expires_at IS NULL OR expires_at > now())) AS keys,
       NULL::timestamptz AS last_seen_at
FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1 AND m.user_id = $2
"""
_OWNERS = """
SELECT count(*) FROM (
    SELECT FROM memberships WHERE organization_id = $1 AND role = 'owner' AND suspended_at IS NULL LIMIT 2
) AS owners
"""


@dataclass(frozen=True)
class MemberRead:
    """A member as stored, with how many keys of theirs work, and when they last used the console."""

    user_id: str
    role: str
    suspended_at: datetime | None
    email: str
    name: str | None
    keys: int
    last_seen_at: datetime | None


async def list_members(tx: Transaction, organization_id: str, *, after: str | None, limit: int) -> Sequence[MemberRead]:
    """The organization's members by their address in small letters, those after a given one."""
    return [MemberRead(**dict(row)) for row in await tx.fetch(_LIST, organization_id, after, limit)]


async def find_member(tx: Transaction, organization_id: str, user_id: str) -> MemberRead | None:
    """One member of the organization."""
    row = await tx.fetchrow(_ONE, organization_id, user_id)
    return MemberRead(**dict(row)) if row else None


async def has_one_owner(tx: Transaction, organization_id: str) -> bool:
    """Whether the organization has just one owner who is not suspended."""
    return bool(await tx.fetchval(_OWNERS, organization_id) == 1)
