from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record
from sqlalchemy import select, update

from app.api_keys.models import ApiKey
from app.core.database import Transaction

_FIND_CALLER = """
SELECT k.id, k.organization_id, k.user_id, k.scopes, k.expires_at, o.subscription_status
FROM api_keys k JOIN organizations o ON o.id = k.organization_id
WHERE k.key_hash = $1 AND (k.revoked_at IS NULL OR k.revoked_at > now())
"""


async def find_caller(tx: Transaction, key_hash: bytes) -> Record | None:
    """The key of that hash with its organization, unless revoked."""
    return await tx.fetchrow(_FIND_CALLER, key_hash)


async def list_keys(tx: Transaction, organization_id: str) -> Sequence[ApiKey]:
    """The organization's keys, oldest first."""
    query = select(ApiKey).where(ApiKey.organization_id == organization_id).order_by(ApiKey.created_at, ApiKey.id)
    return (await tx.session.scalars(query)).all()


async def revoke(tx: Transaction, organization_id: str, key_id: str, at: datetime) -> bool:
    """Revoke the key from that moment on; False where the organization has no such key in use."""
    statement = (
        update(ApiKey)
        .where(ApiKey.organization_id == organization_id, ApiKey.id == key_id, ApiKey.revoked_at.is_(None))
        .values(revoked_at=at)
        .returning(ApiKey.id)
    )
    return (await tx.session.scalar(statement)) is not None
