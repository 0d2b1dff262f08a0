"""A request with an `Idempotency-Key` runs once: claimed when it is admitted, answered when it is settled."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from app.core.database import Database, Transaction
from app.idempotency import repository
from app.idempotency.errors import IdempotencyKeyInProgressError, IdempotencyKeyReusedError

LEASE = timedelta(seconds=60)
LIFETIME = timedelta(hours=24)
_BATCH = 1000


@dataclass(frozen=True)
class IdempotentRequest:
    """One arrival of a request that names a key. `request_hash` is the SHA-256 of its path and body."""

    organization_id: str
    route: str
    key: str
    request_hash: bytes
    claim_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def name(self) -> repository.Name:
        return self.organization_id, self.route, self.key

    @property
    def digest(self) -> bytes:
        """SHA-256 of all that makes two arrivals the same request."""
        return hashlib.sha256("\0".join([*self.name, self.request_hash.hex()]).encode()).digest()


async def claim(tx: Transaction, request: IdempotentRequest) -> dict[str, Any] | None:
    """Take the key for this run, in the transaction that admits it.

    Returns:
        None if this run is to go on; otherwise the stored response of the run before it.

    Raises:
        IdempotencyKeyReusedError: the key was used with another request.
        IdempotencyKeyInProgressError: another run has the key, and its lease lives.
    """
    if await repository.claim(tx, request.name, request.request_hash, request.claim_id, LEASE, LIFETIME):
        return None
    found = await repository.find(tx, request.name)
    if found is not None and found.request_hash != request.request_hash:
        raise IdempotencyKeyReusedError
    if found is None or found.response is None:
        raise IdempotencyKeyInProgressError
    return found.response


async def store_response(tx: Transaction, request: IdempotentRequest, response: dict[str, Any]) -> bool:
    """Store a success in the transaction that settles it. False if the key was taken over meanwhile."""
    return await repository.store_response(tx, request.name, request.claim_id, response)


async def renew(tx: Transaction, request: IdempotentRequest) -> None:
    """Keep the key while the run goes on."""
    await repository.renew(tx, request.name, request.claim_id, LEASE)


async def release(tx: Transaction, request: IdempotentRequest) -> bool:
    """Give the key back after a failure, to try again with. False where it was taken over meanwhile."""
    return await repository.release(tx, request.name, request.claim_id)


async def forget_expired(database: Database) -> None:
    """Remove keys whose time is over."""
    async with database.transaction() as tx:
        await repository.forget(tx, _BATCH)
