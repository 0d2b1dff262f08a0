"""While processes of the version before still serve, which know keys of organizations only, no key runs twice."""

import asyncio
import hashlib
import secrets
from datetime import timedelta

import pytest

from app.core.attribution import Attribution
from app.core.database import Database
from app.credits import service as credits
from app.idempotency import service as idempotency
from app.idempotency.claim import Claim
from app.idempotency.errors import IdempotencyKeyInProgressError, IdempotencyKeyReusedError
from app.idempotency.service import IdempotentRequest
from tests.factories import Organization, balance_of
from tests.idempotency.older_process import OlderProcess
from tests.sessions.conversations import make_colleague

ROUTE = "POST /test"
BODY = hashlib.sha256(b"body").digest()
OTHER_BODY = hashlib.sha256(b"other").digest()
ANSWER: dict[str, object] = {"by": "the first"}


class Rolling:
    """One request with a key that arrives at processes of both versions."""

    def __init__(self, database: Database, organization: Organization) -> None:
        self.database = database
        self.organization = organization
        self.key = secrets.token_hex(8)

    def older(self, body: bytes = BODY) -> OlderProcess:
        return OlderProcess(self.organization.id, ROUTE, self.key, body)

    def newer(self, user_id: str | None = None, body: bytes = BODY) -> IdempotentRequest:
        user = user_id or self.organization.user_id
        return IdempotentRequest(self.organization.id, user, ROUTE, self.key, body)

    async def claim(self, request: IdempotentRequest, hold: str | None = None) -> Claim | dict[str, object]:
        async with self.database.transaction() as tx:
            return await idempotency.claim(tx, request, hold_reference=hold)

    async def claim_older(self, process: OlderProcess, claim_id: str = "older", hold: str | None = None) -> bool:
        async with self.database.transaction() as tx:
            return await process.claim(tx, claim_id, hold)

    async def store(self, request: IdempotentRequest | OlderProcess, response: dict[str, object]) -> bool:
        async with self.database.transaction() as tx:
            if isinstance(request, OlderProcess):
                await request.store(tx, response)
                return True
            return await idempotency.store_response(tx, request, response)

    async def pass_time(self, column: str, by: timedelta) -> None:
        async with self.database.transaction() as tx:
            for table in ("user_idempotency_keys", "idempotency_keys"):
                await tx.execute(f"UPDATE {table} SET {column} = {column} - $1::interval WHERE key = $2", by, self.key)


@pytest.fixture
def rolling(database: Database, organization: Organization) -> Rolling:
    return Rolling(database, organization)


async def hold_of(database: Database, organization: Organization, user_id: str) -> str:
    """The reference of a credit hold of this user."""
    reference = f"turn:{secrets.token_hex(8)}"
    attribution = Attribution(organization_id=organization.id, user_id=user_id)
    amount = (await balance_of(database, organization)).available / 1000
    async with database.transaction() as tx:
        await credits.hold(tx, attribution, reference=reference, amount=amount, expires_in=timedelta(hours=1))
    return reference


async def test_what_runs_in_the_older_version_does_not_run_in_this_one(rolling: Rolling) -> None:
    older = rolling.older()
    assert await rolling.claim_older(older)

    with pytest.raises(IdempotencyKeyInProgressError):
        await rolling.claim(rolling.newer())
    await rolling.store(older, ANSWER)

    # Twice: what is found in the older version's table is known afterwards without it.
    assert [await rolling.claim(rolling.newer()) for _ in range(2)] == [ANSWER, ANSWER]


async def test_what_runs_in_this_version_does_not_run_in_the_older_one(rolling: Rolling) -> None:
    older, newer = rolling.older(), rolling.newer()
    assert await rolling.claim(newer) == Claim(None)

    assert not await rolling.claim_older(older)
    async with rolling.database.transaction() as tx:
        assert await older.find(tx) == (True, None)
    assert await rolling.store(newer, ANSWER)

    assert not await rolling.claim_older(older)
    async with rolling.database.transaction() as tx:
        assert await older.find(tx) == (True, ANSWER)


async def test_of_requests_that_arrive_at_both_at_the_same_moment_one_runs(rolling: Rolling) -> None:
    async def at_older(number: int) -> bool:
        return await rolling.claim_older(rolling.older(), f"older-{number}")

    async def at_newer() -> bool:
        try:
            return isinstance(await rolling.claim(rolling.newer()), Claim)
        except IdempotencyKeyInProgressError:
            return False

    for _ in range(5):
        rolling.key = secrets.token_hex(8)
        ran = await asyncio.gather(*(at_older(number) if number % 2 else at_newer() for number in range(8)))
        assert sum(ran) == 1


async def test_a_key_that_is_given_up_may_run_in_the_other_version(rolling: Rolling) -> None:
    newer = rolling.newer()
    await rolling.claim(newer)
    async with rolling.database.transaction() as tx:
        assert await idempotency.release(tx, newer)

    older = rolling.older()
    assert await rolling.claim_older(older)
    async with rolling.database.transaction() as tx:
        await older.release(tx)

    assert await rolling.claim(rolling.newer()) == Claim(None)


async def test_a_key_is_one_request_in_both_versions(rolling: Rolling) -> None:
    await rolling.claim_older(rolling.older())

    with pytest.raises(IdempotencyKeyReusedError):
        await rolling.claim(rolling.newer(body=OTHER_BODY))
    # The refusal leaves no claim behind.
    with pytest.raises(IdempotencyKeyInProgressError):
        await rolling.claim(rolling.newer())


async def test_what_crashed_in_the_older_version_is_taken_over_with_its_hold(rolling: Rolling) -> None:
    await rolling.claim_older(rolling.older(), hold="turn:crashed")
    await rolling.pass_time("lease_until", idempotency.LEASE)

    assert await rolling.claim(rolling.newer(), "turn:repeat") == Claim("turn:crashed")
    assert not await rolling.claim_older(rolling.older())


async def test_what_crashed_in_this_version_is_taken_over_by_the_older_one_alone(rolling: Rolling) -> None:
    slept, older = rolling.newer(), rolling.older()
    await rolling.claim(slept, "turn:crashed")
    await rolling.pass_time("lease_until", idempotency.LEASE)

    assert await rolling.claim_older(older, hold="turn:repeat")
    assert older.former == "turn:crashed"
    with pytest.raises(IdempotencyKeyInProgressError):
        await rolling.claim(rolling.newer())
    assert not await rolling.store(slept, {"by": "the one that slept"})
    await rolling.store(older, ANSWER)

    assert await rolling.claim(rolling.newer()) == ANSWER


async def test_a_key_that_has_expired_is_used_anew_in_either_version(rolling: Rolling) -> None:
    await rolling.claim_older(rolling.older())
    await rolling.pass_time("expires_at", idempotency.LIFETIME)
    assert await rolling.claim(rolling.newer(body=OTHER_BODY)) == Claim(None)

    await rolling.pass_time("expires_at", idempotency.LIFETIME)

    assert await rolling.claim_older(rolling.older())


async def test_a_renewed_claim_is_renewed_for_both(rolling: Rolling) -> None:
    newer = rolling.newer()
    await rolling.claim(newer)
    await rolling.pass_time("lease_until", idempotency.LEASE)
    async with rolling.database.transaction() as tx:
        await idempotency.renew(tx, newer)

    assert not await rolling.claim_older(rolling.older())


async def test_what_the_older_version_runs_for_another_user_is_not_of_this_one(
    rolling: Rolling, database: Database, organization: Organization
) -> None:
    colleague = await make_colleague(database, organization)
    older = rolling.older()
    await rolling.claim_older(older, hold=await hold_of(database, organization, colleague.user_id))

    mine = rolling.newer()
    assert await rolling.claim(mine) == Claim(None)
    await rolling.store(older, {"by": "the colleague"})
    assert await rolling.store(mine, ANSWER)

    assert await rolling.claim(rolling.newer()) == ANSWER
    assert await rolling.claim(rolling.newer(colleague.user_id)) == {"by": "the colleague"}


async def test_the_keys_of_two_users_are_two(rolling: Rolling, database: Database, organization: Organization) -> None:
    colleague = await make_colleague(database, organization)
    mine, theirs = rolling.newer(), rolling.newer(colleague.user_id, OTHER_BODY)

    assert [await rolling.claim(mine), await rolling.claim(theirs)] == [Claim(None), Claim(None)]
    assert await rolling.store(theirs, {"by": "the colleague"})
    assert await rolling.store(mine, ANSWER)

    assert await rolling.claim(rolling.newer()) == ANSWER
    assert await rolling.claim(rolling.newer(colleague.user_id, OTHER_BODY)) == {"by": "the colleague"}
    with pytest.raises(IdempotencyKeyReusedError):
        await rolling.claim(rolling.newer(colleague.user_id))


@pytest.mark.parametrize("is_stored", [False, True])
async def test_a_claim_that_another_users_key_had_hidden_is_shown_when_that_is_given_up(
    rolling: Rolling, database: Database, organization: Organization, is_stored: bool
) -> None:
    colleague = await make_colleague(database, organization)
    mine, theirs = rolling.newer(), rolling.newer(colleague.user_id)
    await rolling.claim(theirs)
    await rolling.claim(mine)
    if is_stored:
        await rolling.store(mine, ANSWER)
    async with database.transaction() as tx:
        await idempotency.release(tx, theirs)

    assert not await rolling.claim_older(rolling.older())
