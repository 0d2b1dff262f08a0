"""Turns with Idempotency-Keys that are admitted, and that end, together: by the same statements as without, once."""

import asyncio
import hashlib
from dataclasses import replace
from decimal import Decimal
from secrets import token_hex

import pytest

from app.chat.turns import repository
from app.chat.turns.repository import Admission, Batch
from app.core.database import Database
from app.idempotency import service as idempotency
from app.idempotency.errors import IdempotencyKeyInProgressError
from app.idempotency.service import IdempotentRequest
from app.sessions.lease import LeasedSession
from tests.agents.definitions import make_host
from tests.chat.turns.batches import (
    admission_of,
    batch_of,
    books,
    end,
    ended_turn,
    is_leased,
    new_sessions,
    said_in,
)
from tests.factories import Organization
from tests.idempotency.older_process import OlderProcess
from tests.waiting import until

ROUTE = "POST /test"
BODY = hashlib.sha256(b"body").digest()
ANSWER = {"said": "one"}


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database, credit="10")


def request_of(host: Organization, key: str | None = None) -> IdempotentRequest:
    return IdempotentRequest(host.id, host.user_id, ROUTE, key or token_hex(8), BODY)


async def keyed_batch(database: Database, host: Organization) -> Batch:
    return replace(await batch_of(database, host), has_keys=True)


def claiming(host: Organization, session: LeasedSession, request: IdempotentRequest, amount: str = "1") -> Admission:
    return replace(admission_of(host, session, amount), claims=request)


async def admitted_once(
    database: Database, host: Organization, *requests: IdempotentRequest
) -> list[tuple[LeasedSession, IdempotentRequest]]:
    begun = [*zip(new_sessions(len(requests)), requests, strict=True)]
    admissions = [claiming(host, session, request) for session, request in begun]
    assert await repository.admit(database, await keyed_batch(database, host), admissions)
    return begun


async def stored_under(database: Database, request: IdempotentRequest) -> object:
    """What a repeated request gets."""
    async with database.transaction() as tx:
        return await idempotency.claim(tx, replace(request, claim_id="again"))


class TestAdmission:
    async def test_the_keys_of_a_batch_are_claimed_for_both_versions(
        self, database: Database, host: Organization
    ) -> None:
        requests = [request_of(host) for _ in range(3)]

        await admitted_once(database, host, *requests)

        balance, held, rows = await books(database, host)
        assert (balance, held, len(rows.holds)) == (Decimal(10), Decimal(3), 3)
        for request in requests:
            with pytest.raises(IdempotencyKeyInProgressError):
                await stored_under(database, request)
            async with database.transaction() as tx:
                assert not await OlderProcess(host.id, ROUTE, request.key, BODY).claim(tx, "older")

    @pytest.mark.parametrize("by_older_version", [False, True])
    async def test_a_key_that_was_used_admits_none_of_its_batch(
        self, database: Database, host: Organization, *, by_older_version: bool
    ) -> None:
        used, new = request_of(host), request_of(host)
        async with database.transaction() as tx:
            if by_older_version:
                await OlderProcess(host.id, ROUTE, used.key, BODY).claim(tx, "older")
            else:
                await idempotency.claim(tx, replace(used, claim_id="first"))
        admissions = [claiming(host, *each) for each in zip(new_sessions(2), (used, new), strict=True)]

        assert not await repository.admit(database, await keyed_batch(database, host), admissions)

        balance, held, rows = await books(database, host)
        assert (balance, held, rows.holds) == (Decimal(10), Decimal(0), [])
        async with database.transaction() as tx:
            assert await idempotency.claim(tx, new)

    @pytest.mark.parametrize("by_older_version", [False, True])
    async def test_a_key_that_is_claimed_at_this_moment_admits_none_of_its_batch(
        self, database: Database, host: Organization, *, by_older_version: bool
    ) -> None:
        used, new = request_of(host), request_of(host)
        admissions = [claiming(host, *each) for each in zip(new_sessions(2), (used, new), strict=True)]
        batch = await keyed_batch(database, host)
        async with database.transaction() as tx:
            if by_older_version:
                await OlderProcess(host.id, ROUTE, used.key, BODY).claim(tx, "older")
            else:
                await idempotency.claim(tx, replace(used, claim_id="first"))
            admitting = asyncio.create_task(repository.admit(database, batch, admissions))
            await until(lambda: _is_waited_for(database))

        assert not await admitting

        balance, held, rows = await books(database, host)
        assert (balance, held, rows.holds) == (Decimal(10), Decimal(0), [])
        async with database.transaction() as tx:
            assert await idempotency.claim(tx, new)

    async def test_what_cannot_be_paid_claims_no_key(self, database: Database, host: Organization) -> None:
        request = request_of(host)
        (session,) = new_sessions(1)

        admission = claiming(host, session, request, "10.000001")
        assert not await repository.admit(database, await keyed_batch(database, host), [admission])

        async with database.transaction() as tx:
            assert await idempotency.claim(tx, request)


class TestEnd:
    async def test_the_response_is_stored_for_both_versions(self, database: Database, host: Organization) -> None:
        ((session, request),) = await admitted_once(database, host, request_of(host))
        turn = replace(await ended_turn(database, session, "0.5", "one"), answers=request, response=ANSWER)

        assert await end(database, host, turn) == [True]

        balance, held, _ = await books(database, host)
        assert (balance, held) == (Decimal("9.5"), Decimal(0))
        assert await stored_under(database, request) == ANSWER
        async with database.transaction() as tx:
            assert await OlderProcess(host.id, ROUTE, request.key, BODY).find(tx) == (True, ANSWER)
        assert await said_in(database, session) == [(session.turn_id, "one")]

    @pytest.mark.parametrize("table", ["user_idempotency_keys", "idempotency_keys"])
    async def test_a_turn_whose_key_was_taken_over_changes_nothing_and_keeps_no_other_from_its_end(
        self, database: Database, host: Organization, table: str
    ) -> None:
        lost, kept = await admitted_once(database, host, request_of(host), request_of(host))
        async with database.transaction() as tx:
            await tx.execute(f"UPDATE {table} SET claim_id = 'another' WHERE key = $1", lost[1].key)
        turns = [
            replace(await ended_turn(database, session, "0.5", "one"), answers=request, response=ANSWER)
            for session, request in (lost, kept)
        ]

        assert await end(database, host, *turns) == [False, True]

        balance, held, _ = await books(database, host)
        assert (balance, held) == (Decimal("9.5"), Decimal(1))
        assert await stored_under(database, kept[1]) == ANSWER
        assert await said_in(database, lost[0]) == []
        assert await is_leased(database, lost[0])


async def _is_waited_for(database: Database) -> bool:
    """Whether a statement that admits turns waits for a lock."""
    waiting: bool = await database.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND query LIKE 'WITH turns AS%')"
    )
    return waiting
