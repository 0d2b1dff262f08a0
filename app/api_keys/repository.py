from collections.abc import Mapping, Sequence
from datetime import datetime

from asyncpg import Record
from sqlalchemy import or_, select, update

from app.api_keys.caller import Caller
from app.api_keys.models import ApiKey, UnshownKey
from app.api_keys.scopes import MANAGING_SCOPES, VIEWING_SCOPES
from app.core.database import Transaction
from app.organizations.models import MembershipRole, SubscriptionStatus

_FIND_NAMES = "SELECT id, name FROM api_keys WHERE organization_id = $1 AND id = ANY($2::text[])"
_VIEWING = ", ".join(f"'{scope}'" for scope in VIEWING_SCOPES)
_MANAGING = ", ".join(f"'{scope}'" for scope in MANAGING_SCOPES)
_CALLER = f"""
SELECT k.id AS key_id, k.organization_id, k.user_id,
       CASE WHEN m.role = '{MembershipRole.VIEWER}'
            THEN ARRAY(SELECT scope FROM unnest(k.scopes) AS scope WHERE scope IN ({_VIEWING}))
            WHEN m.role = '{MembershipRole.MEMBER}'
            THEN ARRAY(SELECT scope FROM unnest(k.scopes) AS scope WHERE scope NOT IN ({_MANAGING}))
            ELSE k.scopes END AS scopes,
       LEAST(k.expires_at, k.revoked_at) - now() AS usable_for,
       k.requests_per_minute AS key_requests_per_minute, k.requests_per_hour AS key_requests_per_hour,
       o.subscription_status = '{SubscriptionStatus.ACTIVE}' AS is_subscribed,
       p.requests_per_minute, p.concurrent_requests
FROM api_keys k JOIN organizations o ON o.id = k.organization_id JOIN plans p ON p.name = o.plan_name
JOIN memberships m ON m.organization_id = k.organization_id AND m.user_id = k.user_id AND m.suspended_at IS NULL
WHERE coalesce(LEAST(k.expires_at, k.revoked_at) > now(), true)
"""
_FIND_CALLER = f"{_CALLER} AND k.key_hash = $1"
_FIND_CALLER_BY_ID = f"{_CALLER} AND k.organization_id = $1 AND k.id = $2"

# The rows are locked in one order first. Every process writes to the same keys, and without that they could deadlock.
_NOTE_USES = """
WITH locked AS MATERIALIZED (
    SELECT id FROM api_keys WHERE id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE
)
UPDATE api_keys k SET last_used_at = GREATEST(k.last_used_at, used.at)
FROM locked JOIN unnest($1::text[], $2::timestamptz[]) AS used(key_id, at) ON used.key_id = locked.id
WHERE k.id = locked.id
"""

# A row whose time is over is left to `_DELETE_UNSHOWN`.
_TAKE_UNSHOWN = """
DELETE FROM unshown_api_keys WHERE api_key_id = $1 AND user_id = $2 AND token_hash = $3 AND expires_at > now()
RETURNING sealed
"""

# Two processes that clean up at once must not wait for each other.
_DELETE_UNSHOWN = """
DELETE FROM unshown_api_keys WHERE api_key_id IN (
    SELECT api_key_id FROM unshown_api_keys WHERE expires_at <= now() FOR UPDATE SKIP LOCKED
)
"""


async def find_caller(tx: Transaction, key_hash: bytes) -> Caller | None:
    """The caller of the key with that hash, unless the key is expired or revoked, or its user suspended or gone.

    The key of a viewer may do no more than look.
    """
    row = await tx.fetchrow(_FIND_CALLER, key_hash)
    return _caller_from_row(row) if row else None


async def find_caller_by_id(tx: Transaction, organization_id: str, key_id: str) -> Caller | None:
    """The caller of the organization's key with that id; see `find_caller`."""
    row = await tx.fetchrow(_FIND_CALLER_BY_ID, organization_id, key_id)
    return _caller_from_row(row) if row else None


def _caller_from_row(row: Record) -> Caller:
    """The caller of a row of `_FIND_CALLER`."""
    return Caller(
        key_id=row["key_id"],
        organization_id=row["organization_id"],
        user_id=row["user_id"],
        scopes=frozenset(row["scopes"]),
        is_subscribed=row["is_subscribed"],
        usable_for=row["usable_for"],
        requests_per_minute=row["requests_per_minute"],
        concurrent_requests=row["concurrent_requests"],
        key_requests_per_minute=row["key_requests_per_minute"],
        key_requests_per_hour=row["key_requests_per_hour"],
    )


async def list_keys(tx: Transaction, organization_id: str) -> Sequence[ApiKey]:
    """The organization's keys, oldest first."""
    query = select(ApiKey).where(ApiKey.organization_id == organization_id).order_by(ApiKey.created_at, ApiKey.id)
    return (await tx.session.scalars(query)).all()


async def find_names(tx: Transaction, organization_id: str, key_ids: Sequence[str]) -> Mapping[str, str]:
    """The names of these keys of the organization, by their ids. Keys that are deleted are left out."""
    return {row["id"]: row["name"] for row in await tx.fetch(_FIND_NAMES, organization_id, list(key_ids))}


async def find_key(tx: Transaction, organization_id: str, key_id: str, *, is_locked: bool = False) -> ApiKey | None:
    """The organization's key, whatever its state; locked for update if it is to be changed."""
    query = select(ApiKey).where(ApiKey.organization_id == organization_id, ApiKey.id == key_id)
    return (await tx.session.scalars(query.with_for_update() if is_locked else query)).first()


async def find_usable_key(tx: Transaction, organization_id: str, key_id: str) -> ApiKey | None:
    """The organization's key, locked for update, unless it is revoked or rotated."""
    query = (
        select(ApiKey)
        .where(ApiKey.organization_id == organization_id, ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .with_for_update()
    )
    return (await tx.session.scalars(query)).first()


async def add_key(tx: Transaction, key: ApiKey) -> None:
    """Add a key."""
    tx.session.add(key)
    await tx.session.flush()


async def save_key(tx: Transaction, key: ApiKey) -> None:
    """Write what was changed of a key."""
    tx.session.add(key)
    await tx.session.flush()


async def set_rotated(tx: Transaction, key: ApiKey, new_id: str, works_until: datetime) -> None:
    """Note which key replaces this one, and until when this one works."""
    key.revoked_at = works_until
    key.rotated_to = new_id
    await tx.session.flush()


async def note_uses(tx: Transaction, key_ids: Sequence[str], moments: Sequence[datetime]) -> None:
    """Set when each key was last used."""
    await tx.execute(_NOTE_USES, key_ids, moments)


async def revoke(tx: Transaction, organization_id: str, key_id: str, at: datetime) -> str | None:
    """Revoke the key from that moment on. Returns its name; None if there is no such key, or it is revoked already."""
    statement = (
        update(ApiKey)
        .where(
            ApiKey.organization_id == organization_id,
            ApiKey.id == key_id,
            or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > at),
        )
        .values(revoked_at=at)
        .returning(ApiKey.name)
    )
    return await tx.session.scalar(statement)


async def add_unshown(tx: Transaction, unshown: UnshownKey) -> None:
    """Add a key that is still to be shown."""
    tx.session.add(unshown)
    await tx.session.flush()


async def take_unshown(tx: Transaction, key_id: str, user_id: str, token_hash: bytes) -> bytes | None:
    """What is kept of a key for its user, deleted with this; None if nothing is, or its time is over."""
    sealed: bytes | None = await tx.fetchval(_TAKE_UNSHOWN, key_id, user_id, token_hash)
    return sealed


async def delete_unshown(tx: Transaction) -> None:
    """Delete every key that was not shown in time."""
    await tx.execute(_DELETE_UNSHOWN)
