"""A claim that takes over a lapsed one is told that run's hold, so that only one of the two is charged."""

import hashlib
import secrets
from datetime import timedelta

import pytest

from app.core.database import Database
from app.idempotency import service as idempotency
from app.idempotency.claim import Claim
from app.idempotency.errors import IdempotencyKeyInProgressError
from app.idempotency.service import IdempotentRequest
from tests.factories import Organization

BODY = hashlib.sha256(b"body").digest()


class Arrivals:
    """Arrivals of one request with a key."""

    def __init__(self, database: Database, organization: Organization) -> None:
        self._database = database
        self._id = (organization.id, organization.user_id, "POST /test", secrets.token_hex(8))
        self.former: str | None = None

    async def claim(self, hold_reference: str | None) -> IdempotentRequest:
        """Claim the key for a run with this hold. `former` is the hold of the run before then."""
        request = IdempotentRequest(*self._id, BODY)
        async with self._database.transaction() as tx:
            claimed = await idempotency.claim(tx, request, hold_reference=hold_reference)
        assert isinstance(claimed, Claim)
        self.former = claimed.former_hold_reference
        return request

    async def age(self, column: str, by: timedelta) -> None:
        async with self._database.transaction() as tx:
            # Both at the same time, as they are renewed.
            for table in ("user_idempotency_keys", "idempotency_keys"):
                await tx.execute(
                    f"UPDATE {table} SET {column} = {column} - $1::interval WHERE key = $2", by, self._id[3]
                )


@pytest.fixture
def arrivals(database: Database, organization: Organization) -> Arrivals:
    return Arrivals(database, organization)


async def test_a_lapsed_claim_is_taken_over_with_its_hold(arrivals: Arrivals) -> None:
    formers = []
    for hold in ("turn:a", "turn:b", "turn:c"):
        await arrivals.claim(hold)
        formers.append(arrivals.former)
        await arrivals.age("lease_until", idempotency.LEASE)

    assert formers == [None, "turn:a", "turn:b"]


async def test_a_claim_that_has_not_lapsed_is_not_taken_over(arrivals: Arrivals) -> None:
    await arrivals.claim("turn:a")

    with pytest.raises(IdempotencyKeyInProgressError):
        await arrivals.claim("turn:b")


async def test_a_key_that_has_expired_is_used_for_a_new_request(arrivals: Arrivals) -> None:
    await arrivals.claim("turn:a")
    await arrivals.age("lease_until", idempotency.LEASE)
    await arrivals.claim("turn:b")
    await arrivals.age("expires_at", idempotency.LIFETIME)

    await arrivals.claim("turn:c")

    assert arrivals.former is None


async def test_a_key_that_was_given_up_is_used_for_a_new_request(arrivals: Arrivals, database: Database) -> None:
    request = await arrivals.claim("turn:a")
    async with database.transaction() as tx:
        await idempotency.release(tx, request)

    await arrivals.claim("turn:b")

    assert arrivals.former is None


async def test_a_run_without_a_hold_leaves_none(arrivals: Arrivals) -> None:
    await arrivals.claim(None)
    await arrivals.age("lease_until", idempotency.LEASE)

    await arrivals.claim("turn:b")

    assert arrivals.former is None


async def test_a_run_that_has_lost_its_claim_changes_nothing(arrivals: Arrivals, database: Database) -> None:
    lost = await arrivals.claim("turn:a")
    await arrivals.age("lease_until", idempotency.LEASE)
    await arrivals.claim("turn:b")
    await arrivals.age("lease_until", idempotency.LEASE)

    async with database.transaction() as tx:
        await idempotency.renew(tx, lost)
        assert not await idempotency.store_response(tx, lost, {"by": "lost"})
        assert not await idempotency.release(tx, lost)

    # The winner's lease was not renewed by the other one, and its claim is still there.
    await arrivals.claim("turn:c")
    assert arrivals.former == "turn:b"
