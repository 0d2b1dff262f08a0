"""Requests with an `Idempotency-Key` run once.

A key is of one user, as sessions are: others may use the same text for something else. A request claims its key in the
transaction that admits it, and stores its response in the transaction that ends it.
Repeated requests get the stored response. A claim has a lease, so that the key of a crashed request becomes free.
"""

import asyncio
import hashlib
import logging
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Any

from app.core.database import Database, Transaction
from app.idempotency import older_version, repository
from app.idempotency.claim import Claim
from app.idempotency.errors import IdempotencyKeyInProgressError, IdempotencyKeyReusedError

logger = logging.getLogger(__name__)

LEASE = timedelta(seconds=60)
LIFETIME = timedelta(hours=24)
# The header of a response that was not made for this request, but stored for an earlier one.
REPLAYED_HEADERS = {"Idempotent-Replayed": "true"}
_BATCH = 1000
# A round of a worker's loop must not take longer than a minute.
_MOST_SECONDS = 20.0


@dataclass(frozen=True)
class IdempotentRequest:
    """One arrival of a request with a key. `request_hash` is the SHA-256 of its path and body."""

    organization_id: str
    user_id: str
    route: str
    key: str
    request_hash: bytes
    claim_id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def key_id(self) -> repository.KeyId:
        return self.organization_id, self.user_id, self.route, self.key

    @property
    def request_key(self) -> bytes:
        """SHA-256 of everything that identifies a user's request: the same for each of its arrivals.

        Without the user, because the version before computes it so.
        """
        parts = (self.organization_id, self.route, self.key, self.request_hash.hex())
        return hashlib.sha256("\0".join(parts).encode()).digest()


async def claim(
    tx: Transaction, request: IdempotentRequest, *, hold_reference: str | None = None
) -> Claim | dict[str, Any]:
    """Claim the key, in the transaction that admits the request.

    Args:
        tx: the transaction.
        request: the request.
        hold_reference: the credit hold of this run, if it will have one. Whoever takes over the claim ends that hold.

    Returns:
        The claim if the request is to run; otherwise the response that is stored for it.

    Raises:
        IdempotencyKeyReusedError: the key was used for another request.
        IdempotencyKeyInProgressError: the same request is running at the moment, as its lease has not expired.
    """
    claimed = await repository.claim(
        tx, request.key_id, request.request_hash, request.claim_id, LEASE, LIFETIME, hold_reference
    )
    if claimed is not None:
        return await older_version.share(tx, request.key_id, request.request_hash, request.claim_id, claimed)
    found = await repository.find(tx, request.key_id)
    if found is not None and found.request_hash != request.request_hash:
        raise IdempotencyKeyReusedError
    if found is None or found.response is None:
        raise IdempotencyKeyInProgressError
    return found.response


async def store_response(tx: Transaction, request: IdempotentRequest, response: dict[str, Any]) -> bool:
    """Store the response of a success, in the transaction that ends the request.

    Returns:
        False if the lease has expired and another arrival has claimed the key.
    """
    if await older_version.has_taken_over(tx, request.key_id, request.claim_id):
        return False
    is_stored = await repository.store_response(tx, request.key_id, request.claim_id, response)
    await older_version.show(tx, request.key_id, request.claim_id)
    return is_stored


async def renew(tx: Transaction, request: IdempotentRequest) -> None:
    """Renew the claim's lease while the request runs."""
    await repository.renew(tx, request.key_id, request.claim_id, LEASE)
    await older_version.show(tx, request.key_id, request.claim_id)


async def keep(database: Database, request: IdempotentRequest) -> None:
    """Renew the claim's lease until this is cancelled."""
    while True:
        await asyncio.sleep(LEASE.total_seconds() / 3)
        try:
            async with database.transaction() as tx:
                await renew(tx, request)
        except Exception:  # there will be another try before the lease expires
            logger.exception("claim_not_renewed", extra={"route": request.route})


async def release(tx: Transaction, request: IdempotentRequest) -> bool:
    """Give up the claim after a failure, so that the client can repeat the request.

    Returns:
        False if the lease has expired and another arrival has claimed the key.
    """
    is_released = await repository.release(tx, request.key_id, request.claim_id)
    await older_version.hide(tx, request.key_id, request.claim_id)
    return is_released


async def forget(tx: Transaction, request: IdempotentRequest, field: str, value: str) -> None:
    """Forget the response that is stored for the request, if this field of it has this value."""
    claim_id = await repository.forget_response(tx, request.key_id, field, value)
    if claim_id is not None:
        await older_version.hide(tx, request.key_id, claim_id, is_answered=True)


async def forget_expired(database: Database) -> None:
    """Delete keys that are older than `LIFETIME`. What one round does not manage is left to the next."""
    deadline = monotonic() + _MOST_SECONDS
    is_more = True
    while is_more and monotonic() < deadline:
        _, is_more = await forget_batch(database)


async def forget_batch(database: Database) -> tuple[int, bool]:
    """Delete a batch of keys that are older than `LIFETIME`. Returns how many, and whether there may be more."""
    async with database.transaction() as tx:
        forgotten = await repository.forget(tx, _BATCH)
        older = await older_version.forget(tx, _BATCH)
    return forgotten, _BATCH in {forgotten, older}
