import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from app.api_keys import repository
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.models import ApiKey
from app.api_keys.scopes import parse_scopes
from app.core.clock import now
from app.core.crypto import random_alphanumeric, sha256
from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError, NotFoundError

_MARK = "jns_live_"
_RANDOM_LENGTH = 32
_SHOWN_LENGTH = 13
_WELL_FORMED = re.compile(rf"{_MARK}[A-Za-z0-9]{{{_RANDOM_LENGTH}}}")


async def create_key(
    tx: Transaction,
    *,
    organization_id: str,
    user_id: str,
    name: str,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key. The second value is the key itself, which nothing can show again.

    Raises:
        InvalidRequestError: a scope is unknown, the name is empty, or the key would be expired already.
    """
    if not name.strip():
        raise InvalidRequestError("The key needs a name")
    if expires_at is not None and expires_at <= now():
        raise InvalidRequestError("The key would be expired already")
    secret = _MARK + random_alphanumeric(_RANDOM_LENGTH)
    key = ApiKey(
        organization_id=organization_id,
        user_id=user_id,
        name=name.strip(),
        prefix=secret[:_SHOWN_LENGTH],
        key_hash=sha256(secret),
        scopes=parse_scopes(scopes),
        expires_at=expires_at,
    )
    tx.session.add(key)
    await tx.session.flush()
    return key, secret


async def list_keys(tx: Transaction, organization_id: str) -> Sequence[ApiKey]:
    """The organization's keys, oldest first."""
    return await repository.list_keys(tx, organization_id)


async def revoke_key(tx: Transaction, organization_id: str, key_id: str) -> None:
    """Make the key unusable for good.

    Raises:
        NotFoundError: the organization has no such key, or it is revoked already.
    """
    if not await repository.revoke(tx, organization_id, key_id, now()):
        raise NotFoundError(f"No usable key of that id: {key_id}")


async def authenticate(database: Database, secret: str) -> Caller:
    """Who shows this key.

    Raises:
        InvalidApiKeyError: it is malformed, unknown, revoked or expired.
    """
    if not _WELL_FORMED.fullmatch(secret):
        raise InvalidApiKeyError
    async with database.transaction() as tx:
        row = await repository.find_caller(tx, sha256(secret))
    if row is None or (row["expires_at"] is not None and row["expires_at"] <= now()):
        raise InvalidApiKeyError
    return Caller(
        key_id=row["id"],
        organization_id=row["organization_id"],
        user_id=row["user_id"],
        scopes=frozenset(row["scopes"]),
        is_subscribed=row["subscription_status"] == "active",
        expires_at=row["expires_at"],
    )
