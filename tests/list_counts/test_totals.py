"""Totals are what there is: in any snapshot, whoever writes, and whether changes are added to the counts or not."""

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable
from functools import partial

import asyncpg
import pytest

from app.core.database import Database
from app.list_counts import repository
from app.list_counts.folding import fold_list_counts
from app.list_counts.models import CountedList
from tests.factories import Organization
from tests.faults.books import faults_of
from tests.list_counts.counting import (
    Totals,
    add_contents,
    add_sessions,
    first_content,
    totals_of,
    unfolded,
    wrong,
)
from tests.waiting import until

_ROUNDS = 12
_KINDS = {"pending": None, "processing": None, "completed": "image", "failed": None}
# All that the statements of the product may do to a row, and what they never do.
_SOME = "id IN (SELECT id FROM generations WHERE organization_id = $1 AND status = '{}' LIMIT {})"
_CHANGES = (
    "UPDATE generations SET status = 'processing' WHERE organization_id = $1 AND status = 'pending'",
    f"UPDATE generations SET status = 'pending' WHERE {_SOME.format('processing', 1)}",
    f"""UPDATE generations SET status = 'completed', content_type = 'video', completed_at = now(), credit_cost = 0
        WHERE {_SOME.format("processing", 3)}""",
    "UPDATE generations SET content_type = 'image' WHERE organization_id = $1 AND content_type = 'video'",
    "UPDATE generations SET due_at = now() + interval '1 day' WHERE organization_id = $1",
    f"DELETE FROM generations WHERE {_SOME.format('failed', 2)}",
    "DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE organization_id = $1 LIMIT 1)",
)
_FAULT = (
    "{}: of the list '{}', {} rows are counted for the user '{}', the status '{}' and the type '', but there are {}"
)


async def _miscounted(database: Database, organization: Organization) -> list[str]:
    """What `junis verify-ledger` says of the counts. Nothing is held for the contents of these tests."""
    return [fault for fault in await faults_of(database, organization) if "are counted" in fault]


class _RefusedError(Exception):
    pass


async def _change(database: Database, organization: Organization, model: uuid.UUID, chance: random.Random) -> None:
    """One transaction that does several things, and is perhaps undone."""
    try:
        async with database.transaction() as tx:
            for _ in range(chance.randrange(1, 4)):
                statement = chance.choice((*_CHANGES, "contents", "sessions"))
                if statement == "contents":
                    status = chance.choice(list(_KINDS))
                    await add_contents(tx, model, chance.randrange(1, 5), status, _KINDS[status])
                elif statement == "sessions":
                    await add_sessions(tx, organization, chance.randrange(1, 4))
                else:
                    await tx.execute(statement, organization.id)
            if chance.random() < 0.2:
                raise _RefusedError
    except _RefusedError:
        pass


async def _repeated(step: Callable[[], Awaitable[object]]) -> None:
    for _ in range(_ROUNDS):
        await step()


@pytest.mark.parametrize("seed", range(2))
async def test_totals_are_exact_while_many_write_and_several_fold(
    database: Database, organization: Organization, seed: int
) -> None:
    chance = random.Random(seed)
    model = await first_content(database, organization)
    # In one order, so that transactions which change the same rows do not lock each other out.
    turn = asyncio.Lock()

    async def write() -> None:
        async with turn:
            await _change(database, organization, model, chance)

    async def add_only() -> None:
        async with database.transaction() as tx:
            await add_contents(tx, model, 2, "failed")

    async def read() -> None:
        seen.append(await totals_of(database, organization))

    seen: list[Totals] = []
    fold = partial(fold_list_counts, database)
    await asyncio.gather(*(_repeated(step) for step in (write, write, add_only, read, read, fold, fold, fold)))

    assert [wrong(totals) for totals in seen] == [{}] * 2 * _ROUNDS
    assert wrong(await totals_of(database, organization)) == {}
    assert await _miscounted(database, organization) == []


async def test_what_a_transaction_has_changed_is_counted_for_itself_alone_until_it_commits(
    database: Database, organization: Organization
) -> None:
    model = await first_content(database, organization)

    async with database.transaction() as tx:
        await add_contents(tx, model, 4, "failed")
        own = await repository.find_total(tx, organization.id, CountedList.CONTENT)
        others = await totals_of(database, organization)

    assert own == 5
    assert others[None, None] == (1, 1)
    assert (await totals_of(database, organization))[None, None] == (5, 5)


async def test_a_lease_that_is_renewed_changes_no_count(database: Database, organization: Organization) -> None:
    await first_content(database, organization)
    before = await unfolded(database, organization)

    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET due_at = due_at, status = status WHERE organization_id = $1", organization.id
        )

    assert await unfolded(database, organization) <= before


async def test_each_change_is_added_once_by_any_number_of_workers(
    database: Database, organization: Organization
) -> None:
    model = await first_content(database, organization)
    for _ in range(30):
        async with database.transaction() as tx:
            await add_contents(tx, model, 1, "pending")

    await asyncio.gather(*(fold_list_counts(database) for _ in range(6)))
    await fold_list_counts(database)

    assert await unfolded(database, organization) == 0
    assert (await totals_of(database, organization))["pending", None] == (31, 31)


async def test_two_that_add_the_same_organizations_changes_at_once_take_different_ones(
    database: Database, organization: Organization, environment: dict[str, str]
) -> None:
    """Even without the lock by which the second one does not begin."""
    model = await first_content(database, organization)
    for _ in range(10):
        async with database.transaction() as tx:
            await add_contents(tx, model, 1, "pending")
    first, second = [await asyncpg.connect(environment["DATABASE_URL"]) for _ in range(2)]
    begun = first.transaction()
    await begun.start()
    await first.fetchval(repository._FOLD, 4)

    waiting = asyncio.create_task(second.fetchval(repository._FOLD, 100_000))
    await asyncio.sleep(0)
    await begun.commit()
    await waiting

    assert await unfolded(database, organization) == 0
    assert wrong(await totals_of(database, organization)) == {}
    await first.close()
    await second.close()


@pytest.mark.parametrize("statement", ["before the lock", "after the lock", "before the commit"])
async def test_a_worker_that_is_killed_while_it_adds_changes_has_added_none(
    database: Database, organization: Organization, environment: dict[str, str], statement: str
) -> None:
    await first_content(database, organization)
    connection = await asyncpg.connect(environment["DATABASE_URL"])
    await connection.execute("BEGIN")
    if statement != "before the lock":
        await until(lambda: connection.fetchval(repository._TRY_LOCK))
    if statement == "before the commit":
        await connection.fetchval(repository._FOLD, 100_000)

    connection.terminate()

    async def is_added() -> bool:
        await fold_list_counts(database)
        return await unfolded(database, organization) == 0

    await until(is_added)

    assert (await totals_of(database, organization))["pending", None] == (1, 1)


async def test_wrong_counts_are_found_and_corrected_once(database: Database, organization: Organization) -> None:
    model = await first_content(database, organization)
    async with database.transaction() as tx:
        await add_contents(tx, model, 5, "failed")
        await add_sessions(tx, organization, 3)
        await tx.execute(
            "INSERT INTO list_counts VALUES ($1, 'content', '', 'failed', '', 7), ($1, 'sessions', 'nobody', '', '', 2)"
            " ON CONFLICT (organization_id, list, user_id, status, content_type)"
            " DO UPDATE SET total = list_counts.total + 7",
            organization.id,
        )
    found = await _miscounted(database, organization)

    async def correct() -> int:
        async with database.transaction() as tx:
            return await repository.correct(tx)

    corrected = await asyncio.gather(correct(), correct(), fold_list_counts(database), correct())

    assert sorted(found) == [
        _FAULT.format(organization.id, "content", 12, "", "failed", 5),
        _FAULT.format(organization.id, "sessions", 2, "nobody", "", 0),
    ]
    assert sum(corrected) - corrected[2] == 2
    assert await _miscounted(database, organization) == []
    assert wrong(await totals_of(database, organization)) == {}


async def test_an_emptied_table_has_no_rows(database: Database, organization: Organization) -> None:
    model = await first_content(database, organization)

    async def empty() -> None:
        async with database.transaction() as tx:
            await add_contents(tx, model, 2, "failed")
            await tx.execute("TRUNCATE generations, outputs, attempts, create_calls")
            totals.append(await repository.find_total(tx, organization.id, CountedList.CONTENT))
            raise _RefusedError

    totals: list[int] = []
    with pytest.raises(_RefusedError):
        await empty()

    assert totals == [0]
    assert (await totals_of(database, organization))[None, None] == (1, 1)
