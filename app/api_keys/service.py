from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from app.api_keys import repository
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.key_format import new_secret, shown_prefix
from app.api_keys.models import ApiKey
from app.api_keys.scopes import parse_scopes
from app.audit.actor import Actor
from app.audit.service import log_change
from app.core.clock import now
from app.core.crypto import sha256
from app.core.database import Transaction
from app.core.errors import InvalidRequestError, NotFoundError
from app.organizations import service as organizations

# How long a rotated key goes on working unless something else is asked for.
DEFAULT_OVERLAP = timedelta(hours=24)

_MOST_PER_MINUTE = 1000
_MOST_PER_HOUR = 100_000


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
    actor: Actor,
) -> tuple[ApiKey, str]:
    """Create a key.

    Returns:
        The row, and the key itself, which cannot be shown again.

    Raises:
        InvalidRequestError: a scope is unknown, the name is empty, the key would be expired already, or one of its
            own limits is out of range.
    """
    if not name.strip():
        raise InvalidRequestError("The key needs a name")
    _check_limits(expires_at, requests_per_minute, requests_per_hour)
    secret = new_secret()
    key = ApiKey(
        organization_id=organization_id,
        user_id=user_id,
        name=name.strip(),
        prefix=shown_prefix(secret),
        key_hash=sha256(secret),
        scopes=[scope.value for scope in parse_scopes(scopes)],
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        requests_per_hour=requests_per_hour,
    )
    tx.session.add(key)
    await tx.session.flush()
    log_change(tx, actor, "key_created", organization_id=organization_id, object_id=key.id)
    return key, secret


async def create_member_key(
    tx: Transaction,
    organization_id: str,
    *,
    email: str | None,
    name: str,
    scopes: Iterable[str] = (),
    expires_at: datetime | None = None,
    requests_per_minute: int | None = None,
    requests_per_hour: int | None = None,
    actor: Actor,
) -> tuple[ApiKey, str]:
    """Create a key in the name of a member, given by email address; without one, in the name of the owner.

    Returns:
        The row, and the key itself, which cannot be shown again.

    Raises:
        OrganizationNotFoundError: there is no such organization, or it has no such member.
        InvalidRequestError: see `create_key`.
    """
    organization = await organizations.get_organization(tx, organization_id)
    member = await organizations.get_member(tx, organization, email)
    return await create_key(
        tx,
        organization_id=organization.id,
        user_id=member.id,
        name=name,
        scopes=scopes,
        expires_at=expires_at,
        requests_per_minute=requests_per_minute,
        requests_per_hour=requests_per_hour,
        actor=actor,
    )


async def rotate_key(
    tx: Transaction, organization_id: str, key_id: str, *, overlap: timedelta = DEFAULT_OVERLAP, actor: Actor
) -> tuple[ApiKey, str]:
    """Create a key that replaces another one, which goes on working until the overlap ends.

    Returns:
        The new row, and the new key itself, which cannot be shown again.

    Raises:
        NotFoundError: the organization has no such key, or it is revoked or rotated already.
        InvalidRequestError: the overlap is negative, or the key has expired.
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
        actor=actor,
    )
    old.revoked_at = now() + overlap
    old.rotated_to = new.id
    await tx.session.flush()
    log_change(tx, actor, "key_rotated", organization_id=organization_id, object_id=old.id)
    return new, secret


async def replace_keys(
    tx: Transaction, *, organization_id: str, user_id: str, name: str, scopes: Iterable[str], actor: Actor
) -> str:
    """Revoke every key with that name, and create a new one instead of them.

    Returns:
        The new key itself, which cannot be shown again.
    """
    for key in await repository.list_keys(tx, organization_id):
        if key.name == name and key.revoked_at is None:
            await revoke_key(tx, organization_id, key.id, actor=actor)
    _, secret = await create_key(
        tx, organization_id=organization_id, user_id=user_id, name=name, scopes=scopes, actor=actor
    )
    return secret


async def list_keys(tx: Transaction, organization_id: str) -> Sequence[ApiKey]:
    """The organization's keys, oldest first."""
    return await repository.list_keys(tx, organization_id)


async def revoke_key(tx: Transaction, organization_id: str, key_id: str, *, actor: Actor) -> None:
    """Make the key unusable for good.

    Raises:
        NotFoundError: the organization has no such key, or it is revoked already.
    """
    if not await repository.revoke(tx, organization_id, key_id, now()):
        raise NotFoundError(f"No usable key of that id: {key_id}")
    log_change(tx, actor, "key_revoked", organization_id=organization_id, object_id=key_id)


async def find_caller(tx: Transaction, key_hash: bytes) -> Caller:
    """The caller that the key with that hash belongs to.

    Raises:
        InvalidApiKeyError: there is no such key, or it is revoked or expired.
    """
    caller = await repository.find_caller(tx, key_hash)
    if caller is None:
        raise InvalidApiKeyError
    return caller


async def note_uses(tx: Transaction, uses: Mapping[str, datetime]) -> None:
    """Store when keys, given by id, were last used."""
    await repository.note_uses(tx, list(uses), list(uses.values()))


def _check_limits(expires_at: datetime | None, per_minute: int | None, per_hour: int | None) -> None:
    if expires_at is not None and expires_at <= now():
        raise InvalidRequestError("The key would be expired already")
    _check_limit("requests_per_minute", per_minute, _MOST_PER_MINUTE)
    _check_limit("requests_per_hour", per_hour, _MOST_PER_HOUR)


def _check_limit(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise InvalidRequestError(f"{name} must be between 1 and {most}")
