"""What a process of the version before does with Idempotency-Keys, by the statements of that version."""

from typing import Any

from app.core.database import Transaction
from app.core.json import storable_json

_CLAIM = """
INSERT INTO idempotency_keys AS k (organization_id, route, key, request_hash, claim_id, lease_until, expires_at,
                                   hold_reference)
VALUES ($1, $2, $3, $4, $5, now() + interval '60 seconds', now() + interval '24 hours', $6)
ON CONFLICT (organization_id, route, key) DO UPDATE
SET request_hash = excluded.request_hash, claim_id = excluded.claim_id, lease_until = excluded.lease_until,
    response = NULL, created_at = now(), expires_at = excluded.expires_at, hold_reference = excluded.hold_reference,
    former_hold_reference = CASE WHEN k.expires_at > now() THEN k.hold_reference END
WHERE k.expires_at <= now() OR (k.lease_until <= now() AND k.request_hash = excluded.request_hash)
RETURNING former_hold_reference
"""
_FIND = "SELECT request_hash, response FROM idempotency_keys WHERE organization_id = $1 AND route = $2 AND key = $3"
_STORE = """
UPDATE idempotency_keys SET response = $5, lease_until = NULL
WHERE organization_id = $1 AND route = $2 AND key = $3 AND claim_id = $4 AND response IS NULL
"""
_RELEASE = """
DELETE FROM idempotency_keys
WHERE organization_id = $1 AND route = $2 AND key = $3 AND claim_id = $4 AND response IS NULL
"""


class OlderProcess:
    """A process of the version before that gets a request with a key."""

    def __init__(self, organization_id: str, route: str, key: str, request_hash: bytes) -> None:
        self._key = (organization_id, route, key)
        self._request_hash = request_hash
        self._claim_id = ""
        self.former: str | None = None

    async def claim(self, tx: Transaction, claim_id: str, hold_reference: str | None = None) -> bool:
        """Whether the request is to run. `former` is the hold that is ended then."""
        self._claim_id = claim_id
        row = await tx.fetchrow(_CLAIM, *self._key, self._request_hash, claim_id, hold_reference)
        self.former = row["former_hold_reference"] if row else None
        return row is not None

    async def find(self, tx: Transaction) -> tuple[bool, Any] | None:
        """Whether the key is of this request, and its response; None if the key is unknown."""
        row = await tx.fetchrow(_FIND, *self._key)
        return (row["request_hash"] == self._request_hash, row["response"]) if row else None

    async def store(self, tx: Transaction, response: dict[str, Any]) -> None:
        """Store the response of a success."""
        await tx.execute(_STORE, *self._key, self._claim_id, storable_json(response))

    async def release(self, tx: Transaction) -> None:
        """Give the claim up after a failure."""
        await tx.execute(_RELEASE, *self._key, self._claim_id)
