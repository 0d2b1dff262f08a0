"""Turns that are admitted, and that end, at the same time: each as if it were alone."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest

from app.catalog.pricing import PRICE_UNITS
from app.chat.turns import repository
from app.core.clock import moment_of
from app.core.database import Database
from app.credits import service as credits
from app.sessions.lease import LeasedSession
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, conversation
from tests.chat.books import closed_books_of, cost_of, tokens_of
from tests.chat.turns.batches import (
    admission_of,
    admitted,
    batch_of,
    books,
    end,
    ended_turn,
    is_leased,
    new_sessions,
    said_in,
)
from tests.chat.turns.rows import rows_of
from tests.factories import Organization


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database, credit="10")


class TestAdmission:
    async def test_a_batch_begins_the_session_of_each_and_holds_for_each(
        self, database: Database, host: Organization
    ) -> None:
        begun = await admitted(database, host, 3)

        balance, held, rows = await books(database, host)
        assert (balance, held) == (Decimal(10), Decimal(3))
        assert [hold["reference"] for hold in rows.holds] == [f"turn:{session.turn_id}" for session in begun]
        assert {(hold["amount"], hold["calls_opened"], hold["state"]) for hold in rows.holds} == {(1, 1, "open")}
        assert {hold["session_id"] for hold in rows.holds} == {session.id for session in begun}
        assert [await is_leased(database, session) for session in begun] == [True] * 3

    async def test_a_batch_that_cannot_be_paid_for_changes_nothing(
        self, database: Database, host: Organization
    ) -> None:
        begun = new_sessions(3)
        admissions = [admission_of(host, session, "4") for session in begun]

        assert not await repository.admit(database, await batch_of(database, host), admissions)

        balance, held, rows = await books(database, host)
        assert (balance, held, rows.holds) == (Decimal(10), Decimal(0), [])
        assert await database.fetch("SELECT FROM sessions WHERE id = ANY($1)", [each.id for each in begun]) == []

    async def test_what_was_changed_since_the_setup_was_read_admits_nobody(
        self, database: Database, host: Organization
    ) -> None:
        batch = await batch_of(database, host)
        async with database.transaction() as tx:
            await tx.execute("UPDATE agents SET instruction = 'New.' WHERE organization_id = $1", host.id)

        (session,) = new_sessions(1)
        assert not await repository.admit(database, batch, [admission_of(host, session)])
        assert not await repository.is_current(database, batch)
        assert (await rows_of(database, host)).holds == []

    @pytest.mark.parametrize(("hours", "is_valid"), [(-1, False), (1, True)])
    async def test_a_price_that_is_in_force_by_now_admits_nobody_at_the_price_before(
        self, database: Database, host: Organization, hours: int, is_valid: bool
    ) -> None:
        async with database.transaction() as tx:
            now = await moment_of(tx)
        batch = await batch_of(database, host, now + timedelta(hours=hours))

        (session,) = new_sessions(1)
        assert await repository.admit(database, batch, [admission_of(host, session)]) is is_valid
        assert await repository.is_current(database, batch) is is_valid

    async def test_of_more_turns_than_can_be_paid_exactly_so_many_are_admitted(
        self, database: Database, host: Organization
    ) -> None:
        batch = await batch_of(database, host)

        async def admit(count: int) -> int:
            admissions = [admission_of(host, session, "0.3") for session in new_sessions(count)]
            return count * await repository.admit(database, batch, admissions)

        counts = await asyncio.gather(*(admit(3) for _ in range(20)))

        balance, held, rows = await books(database, host)
        assert (sum(counts), len(rows.holds), balance, held) == (33, 33, Decimal(10), Decimal("9.9"))


class TestEnd:
    async def test_each_turn_is_charged_and_stored_and_the_balance_goes_down_step_by_step(
        self, database: Database, host: Organization
    ) -> None:
        first, second = await admitted(database, host, 2)
        (free,) = await admitted(database, host, calls=0)
        turns = [
            await ended_turn(database, first, "0.000001", "one", "two"),
            await ended_turn(database, second, "0.5", "three"),
            await ended_turn(database, free, None, "four"),
        ]

        assert await end(database, host, *turns) == [True, True, True]

        balance, held, rows = await books(database, host)
        assert (balance, held) == (Decimal("9.499999"), Decimal(0))
        assert [(entry["reference"], entry["amount"], entry["balance_after"]) for entry in rows.entries] == [
            (turns[0].reference, Decimal("-0.000001"), Decimal("9.999999")),
            (turns[1].reference, Decimal("-0.5"), Decimal("9.499999")),
        ]
        assert [hold["state"] for hold in rows.holds] == ["settled", "settled", "voided"]
        assert {entry["turn_id"] for entry in rows.entries} == {first.turn_id, second.turn_id}
        assert [event["hold_reference"] for event in rows.events] == [turn.reference for turn in turns[:2]]
        assert await said_in(database, first) == [(first.turn_id, "one"), (first.turn_id, "two")]
        assert await said_in(database, free) == [(free.turn_id, "four")]
        assert not any([await is_leased(database, session) for session in (first, second, free)])

    async def test_an_end_that_is_written_again_changes_nothing(self, database: Database, host: Organization) -> None:
        (session,) = await admitted(database, host)
        turn = await ended_turn(database, session, "0.5", "one")
        assert await end(database, host, turn) == [True]
        before = await books(database, host)

        assert await end(database, host, turn) == [False]

        assert await books(database, host) == before
        assert await said_in(database, session) == [(session.turn_id, "one")]

    async def test_one_that_needs_its_own_statements_keeps_no_other_from_its_end(
        self, database: Database, host: Organization
    ) -> None:
        ended, dear, unknown, plain = await admitted(database, host, 4)
        async with database.transaction() as tx:
            await credits.void(tx, organization_id=host.id, reference=f"turn:{ended.turn_id}")
            await credits.open_call(
                tx, organization_id=host.id, reference=f"turn:{unknown.turn_id}", amount=Decimal(0), uses=()
            )
        turns = [
            await ended_turn(database, ended, "0.1", "a"),
            await ended_turn(database, dear, "1.000001", "b"),
            await ended_turn(database, unknown, "0.1", "c"),
            await ended_turn(database, plain, "0.25", "d"),
        ]

        assert await end(database, host, *turns) == [False, False, False, True]

        balance, held, rows = await books(database, host)
        assert (balance, held) == (Decimal("9.75"), Decimal(2))
        assert [entry["reference"] for entry in rows.entries] == [turns[3].reference]
        assert [event["hold_reference"] for event in rows.events] == [turns[3].reference]
        assert [len(await said_in(database, session)) for session in (ended, dear, unknown, plain)] == [0, 0, 0, 1]
        assert [await is_leased(database, session) for session in (ended, dear, unknown, plain)] == [True] * 3 + [False]

    async def test_a_turn_of_several_calls_is_charged_for_each_once(
        self, database: Database, host: Organization
    ) -> None:
        (session,) = await admitted(database, host)
        reference = f"turn:{session.turn_id}"
        turn = await ended_turn(database, session, "0.2", "one", uses=2)
        async with database.transaction() as tx:
            await credits.open_call(
                tx, organization_id=host.id, reference=reference, amount=Decimal(0), uses=turn.uses[:1]
            )

        assert await end(database, host, turn) == [True]

        balance, held, rows = await books(database, host)
        assert (balance, held, len(rows.events)) == (Decimal("9.6"), Decimal(0), 2)
        (entry,) = rows.entries
        assert [(price["calls"], price["cost"]) for price in entry["quantities"]] == [(2, "0.400000")]

    async def test_a_turn_that_has_lost_its_session_is_charged_and_stores_nothing(
        self, database: Database, host: Organization
    ) -> None:
        lost, kept = await admitted(database, host, 2)
        async with database.transaction() as tx:
            await tx.execute("UPDATE sessions SET turn_id = 'another' WHERE id = $1", lost.id)
        turns = [await ended_turn(database, lost, "0.1", "a"), await ended_turn(database, kept, "0.2", "b")]

        assert await end(database, host, *turns) == [True, True]

        balance, held, _ = await books(database, host)
        assert (balance, held) == (Decimal("9.7"), Decimal(0))
        assert (await said_in(database, lost), await is_leased(database, lost)) == ([], True)
        assert await said_in(database, kept) == [(kept.turn_id, "b")]

    async def test_another_organization_can_end_nothing(
        self, database: Database, host: Organization, organization: Organization
    ) -> None:
        (session,) = await admitted(database, host)
        turn = await ended_turn(database, session, "0.1", "a")

        assert await repository.end(database, organization.id, [turn]) == [False]

        assert (await said_in(database, session), await is_leased(database, session)) == ([], True)
        assert (await rows_of(database, host)).entries == []

    async def test_batches_that_end_at_the_same_time_leave_one_exact_chain_of_balances(
        self, database: Database, host: Organization
    ) -> None:
        begun = [await admitted(database, host, 3) for _ in range(3)]
        # Each batch has sessions of all the others, in another order: in none could they wait for each other.
        batches = [[group[place] for group in begun] for place in range(3)]
        orders = [batches[0], batches[1][::-1], batches[2]]

        async def end_all(batch: Sequence[LeasedSession]) -> list[bool]:
            return await end(database, host, *[await ended_turn(database, each, "0.1", "x") for each in batch])

        assert await asyncio.gather(*map(end_all, orders)) == [[True] * 3] * 3

        balance, held, rows = await books(database, host)
        assert (balance, held) == (Decimal("9.1"), Decimal(0))
        assert [entry["balance_after"] for entry in rows.entries] == [
            Decimal(10) - number * Decimal("0.1") for number in range(1, 10)
        ]


async def test_of_chats_that_arrive_together_as_many_are_answered_as_can_be_paid(
    http: httpx.AsyncClient, database: Database
) -> None:
    # A question of three bytes and an answer of 1000 tokens: the credits are enough for about ten of them at once.
    host = await make_host(database, credit="0.02")

    answers = await asyncio.gather(*(ask(http, host, "Hey") for _ in range(30)))

    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {200, 402}
    books = await closed_books_of(database, host)
    usages = [tokens_of(answer.json()["usage"]) for answer in answers if answer.status_code == 200]
    assert (len(books.charges), books.total, books.held) == (statuses[200], cost_of(usages), Decimal(0))


async def test_a_turn_is_never_admitted_with_an_agent_that_was_changed_before_it(
    http: httpx.AsyncClient, database: Database
) -> None:
    host = await make_host(database)
    for number in range(10):
        async with database.transaction() as tx:
            await tx.execute("UPDATE agents SET is_active = $2 WHERE organization_id = $1", host.id, bool(number % 2))
        assert (await ask(http, host, "Hey")).status_code == (200 if number % 2 else 400), number


@pytest.mark.parametrize("is_named", [False, True])
async def test_a_turn_is_never_refused_for_what_was_changed_before_it(
    http: httpx.AsyncClient, database: Database, *, is_named: bool
) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    body = conversation("ours") if is_named else {}
    tool = {"type": "function", "function": {"name": "replicate_generate", "parameters": {"type": "object"}}}
    assert (await ask(http, host, "Hey", **body)).status_code == 200
    assert (await ask(http, host, "Hey", tools=[tool], **body)).status_code == 400
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET tools = '{}' WHERE organization_id = $1", host.id)

    assert (await ask(http, host, "Hey", tools=[tool], **body)).status_code == 200


async def test_a_price_is_charged_from_the_moment_on_from_which_it_is_in_force(
    http: httpx.AsyncClient, database: Database
) -> None:
    host = await make_host(database, "dearer-model")
    before = tokens_of((await answer_of(http, host, "Hey"))["usage"])
    async with database.transaction() as tx:
        thousandfold = ", ".join(f"1000 * {unit}" for unit in PRICE_UNITS)
        await tx.execute(
            f"INSERT INTO prices (model_name, effective_at, {', '.join(PRICE_UNITS)}) "
            f"SELECT model_name, now() + interval '1 second', {thousandfold} FROM prices WHERE model_name = $1",
            "dearer-model",
        )
    early = tokens_of((await answer_of(http, host, "Hey"))["usage"])
    await asyncio.sleep(1.1)

    late = tokens_of((await answer_of(http, host, "Hey"))["usage"])

    books = await closed_books_of(database, host)
    assert books.charges[0] == cost_of([before])
    assert books.charges[1] in {cost_of([early]), 1000 * cost_of([early])}
    assert books.charges[2] == 1000 * cost_of([late])
