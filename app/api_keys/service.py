import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from app.api_keys import repository
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.models import ApiKey
from app.api_keys.scopes import parse_scopes
from app.core.clock import now
from app.core.crypto import random_alphanumeric, sha256
from app.core.database import Transaction
from app.core.errors import InvalidRequestError, NotFoundError

_MARK = "jns_live_"
_RANDOM_LENGTH = 32
_SHOWN_LENGTH = 13
_MOST_PER_MINUTE = 1000
_MOST_PER_HOUR = 100_000
_WELL_FORMED = re.compile(rf"{_MARK}[A-Za-z0-9]{{{_RANDOM_LENGTH}}}")


async def create_key(
    tx: Transaction,
    *,
    organization_id: str,
    user_id: str,
    name: str,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    requests_per_hour: int | None = None,
) -> tuple[ApiKey, str]:
    """Make a key. The second value is the key itself, which nothing can show again.

    Raises:
        InvalidRequestError: a scope is unknown, the name is empty, the key would be expired already, or a limit of
            its own is out of range.
    """
    if not name.strip():
        raise InvalidRequestError("The key needs a name")
    if expires_at is not None and expires_at <= now():
        raise InvalidRequestError("The key would be expired already")
    _check_limit("requests_per_minute", requests_per_minute, _MOST_PER_MINUTE)
    _check_limit("requests_per_hour", requests_per_hour, _MOST_PER_HOUR)
    secret = _MARK + random_alphanumeric(_RANDOM_LENGTH)
    key = ApiKey(
        organization_id=organization_id,
        user_id=user_id,
        name=name.strip(),
        prefix=secret[:_SHOWN_LENGTH],
        key_hash=sha256(secret),
        scopes=parse_scopes(scopes),
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        requests_per_hour=requests_per_hour,
    )
    tx.session.add(key)
    await tx.session.flush()
    return key, secret


async def rotate_key(tx: Transaction, organization_id: str, key_id: str, *, overlap: timedelta) -> tuple[ApiKey, str]:
    """Make a key that takes another's place; the other one works on until the overlap ends.

    Returns:
        The new key, and the secret that nothing can show again.

    Raises:
        NotFoundError: the organization has no such key, or it is revoked or rotated already.
        InvalidRequestError: the overlap is negative.
    """
    if overlap < timedelta(0):
        raise InvalidRequestError("The overlap cannot be negative")
    old = await repository.find_usable_key(tx, organization_id, key_id)
    if old is None:
        raise NotFoundError(f"No usable key of that id: {key_id}")
    new, secret = await create_key(
        tx,
        organization_id=organization_id,
        user_id=old.user_id,
        name=old.name,
        scopes=old.scopes,
        expires_at=old.expires_at,
        requests_per_minute=old.requests_per_minute,
        requests_per_hour=old.requests_per_hour,
    )
    old.revoked_at = now() + overlap
    old.rotated_to = new.id
    await tx.session.flush()
    return new, secret


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


def is_well_formed(secret: str) -> bool:
    """Whether the text can be a key at all."""
    return _WELL_FORMED.fullmatch(secret) is not None


async def find_caller(tx: Transaction, key_hash: bytes) -> Caller:
    """Who shows the key of that hash.

    Raises:
        InvalidApiKeyError: there is none, or it is revoked or expired.
    """
    row = await repository.find_caller(tx, key_hash)
    if row is None:
        raise InvalidApiKeyError
    values = {name: row[name] for name in Caller.__dataclass_fields__}
    return Caller(**{**values, "scopes": frozenset(row["scopes"])})


async def note_uses(tx: Transaction, uses: Mapping[str, datetime]) -> None:
    """Remember when keys were last used."""
    await repository.note_uses(tx, list(uses), list(uses.values()))


def _check_limit(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise InvalidRequestError(f"{name} must be between 1 and {most}")
