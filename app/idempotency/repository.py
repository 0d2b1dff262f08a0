from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self

from asyncpg import Record

from app.core.database import Transaction
from app.core.json import storable_json
from app.idempotency.claim import Claim

# Only a lapsed claim is taken over, with its hold. A key that has expired is used for a new request.
_CLAIM = """
INSERT INTO user_idempotency_keys AS k (organization_id, user_id, route, key, request_hash, claim_id, lease_until,
                                        expires_at, hold_reference)
VALUES ($1, $2, $3, $4, $5, $6, now() + $7, now() + $8, $9)
ON CONFLICT (organization_id, route, key, user_id) DO UPDATE
SET request_hash = excluded.request_hash, claim_id = excluded.claim_id, lease_until = excluded.lease_until,
    response = NULL, created_at = now(), expires_at = excluded.expires_at, hold_reference = excluded.hold_reference,
    former_hold_reference = CASE WHEN k.expires_at > now() THEN k.hold_reference END
WHERE k.expires_at <= now() OR (k.lease_until <= now() AND k.request_hash = excluded.request_hash)
RETURNING former_hold_reference
"""

_FIND = """
SELECT request_hash, response FROM user_idempotency_keys
WHERE organization_id = $1 AND user_id = $2 AND route = $3 AND key = $4
"""

_STORE = """
UPDATE user_idempotency_keys SET response = $6, lease_until = NULL
WHERE organization_id = $1 AND user_id = $2 AND route = $3 AND key = $4 AND claim_id = $5 AND response IS NULL
RETURNING claim_id
"""

_RENEW = """
UPDATE user_idempotency_keys SET lease_until = now() + $6
WHERE organization_id = $1 AND user_id = $2 AND route = $3 AND key = $4 AND claim_id = $5 AND response IS NULL
"""

_RELEASE = """
DELETE FROM user_idempotency_keys
WHERE organization_id = $1 AND user_id = $2 AND route = $3 AND key = $4 AND claim_id = $5 AND response IS NULL
RETURNING claim_id
"""

_FORGET_RESPONSE = """
DELETE FROM user_idempotency_keys
WHERE organization_id = $1 AND user_id = $2 AND route = $3 AND key = $4 AND response ->> $5 = $6
RETURNING claim_id
"""

# A key that is being used for a new request just now is passed over, and nobody waits.
_FORGET = """
WITH forgotten AS (
    DELETE FROM {table} WHERE ctid = ANY(ARRAY(
        SELECT ctid FROM {table} WHERE expires_at <= now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
    )) RETURNING 1
)
SELECT count(*) FROM forgotten
"""
_COUNT_EXPIRED = "SELECT count(*) FROM user_idempotency_keys WHERE expires_at <= now()"

# The ids of the organization and of the user, the route and the key.
KeyId = tuple[str, str, str, str]


@dataclass(frozen=True)
class StoredRequest:
    """What is stored under a key: the hash of the request's path and body, and its response once it has ended."""

    request_hash: bytes
    response: dict[str, Any] | None

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The value of a row of `user_idempotency_keys`."""
        return cls(request_hash=row["request_hash"], response=row["response"])


async def claim(
    tx: Transaction,
    key_id: KeyId,
    request_hash: bytes,
    claim_id: str,
    lease: timedelta,
    lifetime: timedelta,
    hold_reference: str | None,
) -> Claim | None:
    """Claim the key. None if it is in use: stored with a response, or claimed with a lease that is still valid.

    An expired key, and one whose lease has expired for the same request, are taken over. A concurrent transaction that
    claims the same key is waited for.
    """
    row = await tx.fetchrow(_CLAIM, *key_id, request_hash, claim_id, lease, lifetime, hold_reference)
    return Claim.from_row(row) if row else None


async def find(tx: Transaction, key_id: KeyId) -> StoredRequest | None:
    """What is stored under the key; None if it is unknown."""
    row = await tx.fetchrow(_FIND, *key_id)
    return StoredRequest.from_row(row) if row else None


async def store_response(tx: Transaction, key_id: KeyId, claim_id: str, body: dict[str, Any]) -> bool:
    """Store the response and end the claim. False if the claim has been taken over."""
    return await tx.fetchval(_STORE, *key_id, claim_id, storable_json(body)) is not None


async def renew(tx: Transaction, key_id: KeyId, claim_id: str, lease: timedelta) -> None:
    """Extend the claim's lease to this long from now, unless the claim has been taken over."""
    await tx.execute(_RENEW, *key_id, claim_id, lease)


async def release(tx: Transaction, key_id: KeyId, claim_id: str) -> bool:
    """Delete the claim, so that the client can use the key again. False if the claim has been taken over."""
    return await tx.fetchval(_RELEASE, *key_id, claim_id) is not None


async def forget_response(tx: Transaction, key_id: KeyId, field: str, value: str) -> str | None:
    """Delete the key if this field of its stored response has this value. Returns its claim; None if it has not."""
    claim_id: str | None = await tx.fetchval(_FORGET_RESPONSE, *key_id, field, value)
    return claim_id


async def forget(tx: Transaction, limit: int, *, table: str = "user_idempotency_keys") -> int:
    """Delete up to `limit` keys that have expired, the oldest first. Returns how many."""
    forgotten: int = await tx.fetchval(_FORGET.format(table=table), limit)
    return forgotten


async def count_expired(tx: Transaction) -> int:
    """How many keys have expired and are not deleted yet."""
    expired: int = await tx.fetchval(_COUNT_EXPIRED)
    return expired
