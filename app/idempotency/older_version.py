"""Keys as processes of the version before see them: of an organization, whoever its users are.

While both versions run, one request may arrive at both. So every claim is also written where the version before looks
for it, and what that version has claimed there is heeded. docs/adr/0019 says when this module goes.

A row of `idempotency_keys` belongs to the user whose row of `user_idempotency_keys` has the same claim, or else to the
user of its hold. If neither is known, it is everybody's.
"""

from dataclasses import dataclass
from typing import Any, Self

from asyncpg import Record

from app.core.database import Transaction
from app.idempotency import repository
from app.idempotency.claim import Claim
from app.idempotency.errors import IdempotencyKeyInProgressError, IdempotencyKeyReusedError
from app.idempotency.repository import KeyId

_SHOWN = """
INSERT INTO idempotency_keys AS k (organization_id, route, key, request_hash, claim_id, lease_until, response,
                                   expires_at, hold_reference)
SELECT organization_id, route, key, request_hash, claim_id, lease_until, response, expires_at, hold_reference
FROM user_idempotency_keys
WHERE organization_id = $1 AND user_id = $2 AND route = $3 AND key = $4 AND claim_id = $5
ON CONFLICT (organization_id, route, key) DO UPDATE
"""

_SHOW = f"""
{_SHOWN}
SET lease_until = excluded.lease_until, response = excluded.response
WHERE k.claim_id = excluded.claim_id
RETURNING claim_id
"""

_REPLACE = f"""
{_SHOWN}
SET request_hash = excluded.request_hash, claim_id = excluded.claim_id, lease_until = excluded.lease_until,
    response = excluded.response, created_at = now(), expires_at = excluded.expires_at,
    hold_reference = excluded.hold_reference, former_hold_reference = NULL
"""

_FIND = """
SELECT request_hash, claim_id, response, hold_reference, expires_at <= now() AS has_expired,
       coalesce(lease_until > now(), false) AS is_leased,
       coalesce((SELECT user_id FROM user_idempotency_keys u
                 WHERE (u.organization_id, u.route, u.key, u.claim_id)
                     = (k.organization_id, k.route, k.key, k.claim_id)),
                (SELECT user_id FROM credit_holds WHERE reference = k.hold_reference), $2) AS user_id
FROM idempotency_keys k
WHERE organization_id = $1 AND route = $3 AND key = $4
FOR UPDATE OF k
"""

_LOCK = """
SELECT FROM user_idempotency_keys WHERE organization_id = $1 AND user_id = $2 AND route = $3 AND key = $4 FOR UPDATE
"""

_HIDE = """
DELETE FROM idempotency_keys
WHERE organization_id = $1 AND route = $2 AND key = $3 AND claim_id = $4 AND (response IS NOT NULL) = $5
"""

# Of another user, whose claim the first one has kept from being seen.
_SHOW_OTHER = """
INSERT INTO idempotency_keys (organization_id, route, key, request_hash, claim_id, lease_until, response, expires_at,
                              hold_reference)
SELECT organization_id, route, key, request_hash, claim_id, lease_until, response, expires_at, hold_reference
FROM user_idempotency_keys
WHERE organization_id = $1 AND user_id <> $2 AND route = $3 AND key = $4 AND expires_at > now()
ORDER BY created_at LIMIT 1
ON CONFLICT (organization_id, route, key) DO NOTHING
"""


@dataclass(frozen=True)
class _Seen:
    """What the version before sees under a key. It is of `user_id`, or of whoever asks if nobody knows whose it is."""

    request_hash: bytes
    claim_id: str
    response: dict[str, Any] | None
    hold_reference: str | None
    has_expired: bool
    is_leased: bool
    user_id: str

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `idempotency_keys`."""
        return cls(**dict(row))


async def share(
    tx: Transaction, key_id: KeyId, request_hash: bytes, claim_id: str, claim: Claim
) -> Claim | dict[str, Any]:
    """Show a new claim to the version before, unless that has claimed the key for the same user.

    Returns:
        The claim, or the response that the version before has stored for the request.

    Raises:
        IdempotencyKeyReusedError: that version has claimed the key for another request.
        IdempotencyKeyInProgressError: that version is running the same request.
    """
    if await show(tx, key_id, claim_id):
        return claim
    seen = await _find(tx, key_id)
    if seen is None:
        raise IdempotencyKeyInProgressError  # given up at this moment
    if seen.has_expired:
        await tx.execute(_REPLACE, *key_id, claim_id)
        return claim
    if seen.user_id != key_id[1]:
        return claim  # another user's key of the same text
    if seen.request_hash != request_hash:
        raise IdempotencyKeyReusedError
    if seen.response is not None:
        await repository.store_response(tx, key_id, claim_id, seen.response)
        return seen.response
    if seen.is_leased:
        raise IdempotencyKeyInProgressError
    await tx.execute(_REPLACE, *key_id, claim_id)
    return Claim(seen.hold_reference or claim.former_hold_reference)


async def show(tx: Transaction, key_id: KeyId, claim_id: str) -> bool:
    """Show the claim, or what has become of it. False if what the version before sees is another claim."""
    return await tx.fetchval(_SHOW, *key_id, claim_id) is not None


async def has_taken_over(tx: Transaction, key_id: KeyId, claim_id: str) -> bool:
    """Whether the version before has taken over the claim because its lease ran out. It cannot do so afterwards."""
    await tx.execute(_LOCK, *key_id)  # rows are locked in this order everywhere
    seen = await _find(tx, key_id)
    return seen is not None and not seen.has_expired and seen.user_id == key_id[1] and seen.claim_id != claim_id


async def hide(tx: Transaction, key_id: KeyId, claim_id: str, *, is_answered: bool = False) -> None:
    """Remove the claim, or its response, from what the version before sees.

    If another user has one on the same text, it is seen then.
    """
    organization_id, _, route, key = key_id
    await tx.execute(_HIDE, organization_id, route, key, claim_id, is_answered)
    await tx.execute(_SHOW_OTHER, *key_id)


async def forget(tx: Transaction, limit: int) -> int:
    """Delete up to `limit` keys that have expired. Returns how many."""
    return await repository.forget(tx, limit, table="idempotency_keys")


async def _find(tx: Transaction, key_id: KeyId) -> _Seen | None:
    row = await tx.fetchrow(_FIND, *key_id)
    return _Seen.from_row(row) if row else None
