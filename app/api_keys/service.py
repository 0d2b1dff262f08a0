from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

from app.api_keys import repository
from app.api_keys.caller import Caller
from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.key_format import new_secret, shown_prefix
from app.api_keys.key_request import (
    LONGEST_DESCRIPTION,
    MOST_MONTHLY_CREDITS,
    MOST_PER_HOUR,
    MOST_PER_MINUTE,
    KeyChanges,
    KeyRequest,
)
from app.api_keys.key_state import KeyState, key_state
from app.api_keys.models import ApiKey
from app.api_keys.scopes import parse_scopes
from app.audit.actor import Actor
from app.audit.service import log_change
from app.core.clock import moment_of
from app.core.crypto import sha256
from app.core.database import Transaction
from app.core.errors import InvalidRequestError, NotFoundError
from app.organizations import service as organizations

# How long a rotated key goes on working unless something else is asked for.
DEFAULT_OVERLAP = timedelta(hours=24)


@dataclass(frozen=True)
class NewKey:
    """A key that was just created: the row, and the key itself, which cannot be shown again."""

    row: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True)
class RotatedKey(NewKey):
    """The key that replaces another one, and the moment until which the other one works."""

    old_works_until: datetime


async def create_key(
    tx: Transaction, request: KeyRequest, *, organization_id: str, user_id: str, actor: Actor
) -> NewKey:
    """Create a key.

    Raises:
        InvalidRequestError: a scope is unknown, the name is empty, the description too long, the key would be expired
            already, or one of its own limits is out of range.
    """
    await _check(tx, request)
    secret = new_secret()
    key = ApiKey(
        organization_id=organization_id,
        user_id=user_id,
        name=request.name.strip(),
        description=request.description.strip(),
        prefix=shown_prefix(secret),
        key_hash=sha256(secret),
        scopes=[scope.value for scope in parse_scopes(request.scopes)],
        expires_at=request.expires_at,
        requests_per_minute=request.requests_per_minute,
        requests_per_hour=request.requests_per_hour,
        monthly_credits=request.monthly_credits,
    )
    await repository.add_key(tx, key)
    log_change(tx, actor, "key_created", organization_id=organization_id, object_id=key.id, after=_as_logged(key))
    return NewKey(key, secret)


async def create_member_key(
    tx: Transaction,
    id_or_name: str,
    request: KeyRequest,
    *,
    email: str | None = None,
    expires_in: timedelta | None = None,
    actor: Actor,
) -> NewKey:
    """Create a key in the name of a member of an organization.

    Args:
        tx: the transaction.
        id_or_name: the organization.
        request: what the key is to be like.
        email: the member's address; None for the owner.
        expires_in: how long the key works, which replaces the moment in the request; None keeps that moment.
        actor: who creates it.

    Raises:
        OrganizationNotFoundError: there is no such organization.
        MemberNotFoundError: it has no such member.
        InvalidRequestError: see `create_key`.
    """
    organization = await organizations.get_organization(tx, id_or_name)
    member = await organizations.get_member(tx, organization, email)
    if expires_in is not None:
        request = replace(request, expires_at=await moment_of(tx) + expires_in)
    return await create_key(tx, request, organization_id=organization.id, user_id=member.id, actor=actor)


async def rotate_key(
    tx: Transaction, organization_id: str, key_id: str, *, overlap: timedelta | None = None, actor: Actor
) -> RotatedKey:
    """Create a key that replaces another one, which goes on working until the overlap ends.

    Without an overlap, `DEFAULT_OVERLAP` is used.

    Raises:
        NotFoundError: the organization has no such key, or it is revoked or rotated already.
        InvalidRequestError: the overlap is negative, or the key has expired.
    """
    overlap = DEFAULT_OVERLAP if overlap is None else overlap
    if overlap < timedelta(0):
        raise InvalidRequestError("The overlap cannot be negative")
    old = await repository.find_usable_key(tx, organization_id, key_id)
    if old is None:
        raise NotFoundError(f"No usable key of that id: {key_id}")
    new = await create_key(tx, _request_of(old), organization_id=organization_id, user_id=old.user_id, actor=actor)
    works_until = await moment_of(tx) + overlap
    await repository.set_rotated(tx, old, new.row.id, works_until)
    log_change(
        tx,
        actor,
        "key_rotated",
        organization_id=organization_id,
        object_id=old.id,
        before={"name": old.name, "replaced_by": None, "works_until": old.expires_at},
        after={"name": old.name, "replaced_by": new.row.id, "works_until": works_until},
    )
    return RotatedKey(new.row, new.secret, works_until)


async def replace_keys(
    tx: Transaction, request: KeyRequest, *, organization_id: str, user_id: str, actor: Actor
) -> NewKey:
    """Revoke every key with the name that is asked for, and create a new one instead of them."""
    for key in await repository.list_keys(tx, organization_id):
        if key.name == request.name and key.revoked_at is None:
            await revoke_key(tx, organization_id, key.id, actor=actor)
    return await create_key(tx, request, organization_id=organization_id, user_id=user_id, actor=actor)


async def get_key(tx: Transaction, organization_id: str, key_id: str) -> ApiKey:
    """One key of the organization, whatever its state.

    Raises:
        NotFoundError: the organization has no such key.
    """
    key = await repository.find_key(tx, organization_id, key_id)
    if key is None:
        raise NotFoundError(f"No key of that id: {key_id}")
    return key


async def change_key(
    tx: Transaction, organization_id: str, key_id: str, changes: KeyChanges, *, actor: Actor
) -> ApiKey:
    """Change what a key is called, may do or how long it works, in every process at once. Its secret stays.

    Raises:
        NotFoundError: the organization has no such key.
        InvalidRequestError: the key works no more, or see `create_key`.
    """
    key = await repository.find_key(tx, organization_id, key_id, is_locked=True)
    if key is None:
        raise NotFoundError(f"No key of that id: {key_id}")
    state = key_state(key, await moment_of(tx))
    if state in {KeyState.REVOKED, KeyState.EXPIRED}:
        raise InvalidRequestError(f"The key is {state} and cannot be changed")
    before = _as_logged(key)
    request = replace(_request_of(key), **changes)
    await _check(tx, request, former=key.expires_at)
    _apply(key, request)
    after = _as_logged(key)
    if changed := [name for name in after if after[name] != before[name]]:
        await repository.save_key(tx, key)
        log_change(
            tx,
            actor,
            "key_changed",
            organization_id=organization_id,
            object_id=key_id,
            before={name: before[name] for name in ("name", *changed)},
            after={name: after[name] for name in ("name", *changed)},
        )
    return key


async def list_keys(tx: Transaction, organization_id: str) -> Sequence[ApiKey]:
    """The organization's keys, oldest first."""
    return await repository.list_keys(tx, organization_id)


async def name_keys(tx: Transaction, organization_id: str, key_ids: Sequence[str]) -> Mapping[str, str]:
    """The names of these keys of the organization, by their ids. Keys that are deleted are left out."""
    return await repository.find_names(tx, organization_id, key_ids)


async def revoke_key(
    tx: Transaction, organization_id: str, key_id: str, *, reason: str | None = None, actor: Actor
) -> None:
    """Make the key unusable for good. The audit keeps the reason, if one is given.

    Raises:
        NotFoundError: the organization has no such key, or it is revoked already.
    """
    name = await repository.revoke(tx, organization_id, key_id, await moment_of(tx))
    if name is None:
        raise NotFoundError(f"No usable key of that id: {key_id}")
    log_change(
        tx,
        actor,
        "key_revoked",
        organization_id=organization_id,
        object_id=key_id,
        before={"name": name, "state": "active"},
        after={"name": name, "state": "revoked", **({"reason": reason} if reason else {})},
    )


async def revoke_keys_of(tx: Transaction, organization_id: str, user_id: str, *, actor: Actor) -> None:
    """Make all keys that a user has made for the organization unusable for good."""
    for key in await repository.list_keys(tx, organization_id):
        if key.user_id == user_id and await repository.revoke(tx, organization_id, key.id, await moment_of(tx)):
            log_change(
                tx, actor, "key_revoked", organization_id=organization_id, object_id=key.id, before={"name": key.name}
            )


async def find_caller(tx: Transaction, key_hash: bytes) -> Caller:
    """The caller that the key with that hash belongs to.

    Raises:
        InvalidApiKeyError: there is no such key, or it is revoked or expired.
    """
    caller = await repository.find_caller(tx, key_hash)
    if caller is None:
        raise InvalidApiKeyError
    return caller


async def find_caller_by_id(tx: Transaction, organization_id: str, key_id: str) -> Caller:
    """The caller that a key of the organization belongs to, for what was asked for with the key before.

    Raises:
        InvalidApiKeyError: there is no such key any more, or it is revoked or expired.
    """
    caller = await repository.find_caller_by_id(tx, organization_id, key_id)
    if caller is None:
        raise InvalidApiKeyError
    return caller


async def note_uses(tx: Transaction, uses: Mapping[str, datetime]) -> None:
    """Store when keys, given by id, were last used."""
    await repository.note_uses(tx, list(uses), list(uses.values()))


def _request_of(key: ApiKey) -> KeyRequest:
    return KeyRequest(
        name=key.name,
        description=key.description,
        scopes=key.scopes,
        expires_at=key.expires_at,
        requests_per_minute=key.requests_per_minute,
        requests_per_hour=key.requests_per_hour,
        monthly_credits=key.monthly_credits,
    )


def _apply(key: ApiKey, request: KeyRequest) -> None:
    key.name = request.name.strip()
    key.description = request.description.strip()
    key.scopes = [scope.value for scope in parse_scopes(request.scopes)]
    key.expires_at = request.expires_at
    key.requests_per_minute = request.requests_per_minute
    key.requests_per_hour = request.requests_per_hour
    key.monthly_credits = request.monthly_credits


def _as_logged(key: ApiKey) -> dict[str, object]:
    described = ("name", "description", "prefix", "user_id", "scopes")
    names = (*described, "expires_at", "requests_per_minute", "requests_per_hour", "monthly_credits")
    return {name: getattr(key, name) for name in names}


async def _check(tx: Transaction, request: KeyRequest, *, former: datetime | None = None) -> None:
    """Refuse what no key may be. `former` is when the key expires so far."""
    if not request.name.strip():
        raise InvalidRequestError("The key needs a name", param="name")
    if len(request.description.strip()) > LONGEST_DESCRIPTION:
        raise InvalidRequestError(f"A description has {LONGEST_DESCRIPTION} characters at most", param="description")
    ends = request.expires_at
    if ends is not None and ends != former and ends <= await moment_of(tx):
        raise InvalidRequestError("The key would be expired already", param="expires_at")
    _check_limit("requests_per_minute", request.requests_per_minute, MOST_PER_MINUTE)
    _check_limit("requests_per_hour", request.requests_per_hour, MOST_PER_HOUR)
    _check_credits(request.monthly_credits)


def _check_limit(name: str, value: int | None, most: int) -> None:
    if value is not None and not 1 <= value <= most:
        raise InvalidRequestError(f"{name} must be between 1 and {most}", param=name)


def _check_credits(amount: Decimal | None) -> None:
    if amount is None:
        return
    if not (amount.is_finite() and 0 < amount < MOST_MONTHLY_CREDITS and amount == round(amount, 6)):
        raise InvalidRequestError(
            "monthly_credits must be a positive amount of at most 6 decimals", param="monthly_credits"
        )
