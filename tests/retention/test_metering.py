"""Events and ended holds go once what they were charged for is sealed, and the books are proven as before."""

import asyncio
from datetime import UTC, datetime, timedelta
from time import monotonic

import asyncpg
import pytest

from app.core.database import Database
from app.retention import pruning, repository, seals
from tests import factories
from tests.factories import Organization
from tests.retention.past import Past, ledger_of, verified

_KEPT = timedelta(days=40)
# Two months and more: the whole month of it is over and sealed.
_LONG_AGO = timedelta(days=100)
_BOOKS = ("credit_holds", "metering_events")


@pytest.fixture
def past(database: Database, organization: Organization) -> Past:
    return Past(database, organization)


async def _prune(database: Database, kept: timedelta = _KEPT) -> int:
    pruned = await pruning.prune_metering(database, kept, monotonic() + 60)
    assert pruned.is_done
    return pruned.removed


async def _many_kinds(past: Past) -> None:
    """Turns of every kind that the books know."""
    await past.turn("plain", "0.5")
    await past.turn("long", "0.1", "0.2", "0.3", is_estimated=True)
    await past.void("nothing")
    await past.void("crashed", calls=3)
    late = await past.turn("late", "0.25")
    await past.charge_late(late, "0.125")
    replaced = await past.turn("replaced", "0.75")
    await past.supersede(replaced, await past.turn("replacing", "0.5"))


async def _cut(database: Database) -> datetime:
    async with database.transaction() as tx:
        now: datetime = await tx.fetchval("SELECT now()")
    day = (now - _KEPT).astimezone(UTC)
    return day.replace(hour=0, minute=0, second=0, microsecond=0)


async def test_old_ones_go_and_the_books_are_proven_as_before(database: Database, past: Past) -> None:
    await _many_kinds(past)
    await past.hold("running")
    await past.turn("dear", "200", amount="1")
    await past.move(_LONG_AGO)
    await past.plant("UPDATE credit_holds SET expires_at = now() + interval '1 hour' WHERE state = 'open'")
    await past.grant("10")
    await past.turn("today", "0.5")
    await past.void("today-nothing")
    await past.sum_up()
    before, ledger = await verified(database), await ledger_of(database)

    removed = await _prune(database)

    assert removed == 8
    assert await past.names("credit_holds") == {"running", "today", "today-nothing"}
    assert await past.names("metering_events") == {"today"}
    assert before[0] == []
    assert len(before[1]) == 2
    assert await verified(database) == before
    assert await ledger_of(database) == ledger


async def test_nothing_of_an_organization_goes_whose_events_do_not_explain_its_charges(
    database: Database, past: Past
) -> None:
    other = Past(database, await factories.make_organization(database))
    for one in (past, other):
        await _many_kinds(one)
        await one.move(_LONG_AGO)
    own = [await past.names(table) for table in _BOOKS]
    await past.plant("UPDATE metering_events SET prompt_tokens = 2 WHERE call_id = $1", f"turn:plain:{past.id}:0")

    await _prune(database)

    assert [await past.names(table) for table in _BOOKS] == own
    assert [await other.names(table) for table in _BOOKS] == [set(), set()]
    async with database.transaction() as tx:
        faults = await seals.find_faults(tx)
    assert list(faults) == [past.id]
    assert faults[past.id].startswith(f"turn:plain:{past.id}: the quantities at price ")

    await past.plant("UPDATE metering_events SET prompt_tokens = 1 WHERE call_id = $1", f"turn:plain:{past.id}:0")
    await _prune(database)

    assert [await past.names(table) for table in _BOOKS] == [set(), set()]
    async with database.transaction() as tx:
        assert await seals.find_faults(tx) == {}
    assert (await verified(database))[0] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE metering_events SET cost = cost * 2 WHERE hold_reference = $1", "the quantities at price"),
        ("DELETE FROM metering_events WHERE hold_reference = $1", "the quantities at price"),
        ("UPDATE credit_holds SET charged = charged / 2 WHERE reference = $1", "it has no settled hold"),
        ("DELETE FROM credit_holds WHERE reference = $1", "the quantities at price"),
        ("UPDATE ledger_entries SET quantities = NULL WHERE reference = $1", "the quantities at price"),
    ],
)
async def test_what_keeps_a_charge_from_being_sealed(database: Database, past: Past, change: str, reason: str) -> None:
    reference = await past.turn("plain", "0.5")
    await past.move(_LONG_AGO)
    await past.plant(change, reference)

    assert await _prune(database) == 0

    async with database.transaction() as tx:
        (fault,) = (await seals.find_faults(tx)).values()
    assert reason in fault


async def test_a_charge_that_was_changed_with_its_event_is_not_sealed(database: Database, past: Past) -> None:
    reference = await past.turn("plain", "0.5")
    await past.move(_LONG_AGO)
    await past.plant("UPDATE metering_events SET cost = 0.25 WHERE hold_reference = $1", reference)
    await past.plant("UPDATE credit_holds SET charged = 0.25 WHERE reference = $1", reference)
    await past.plant(
        "UPDATE ledger_entries SET amount = -0.25, quantities = jsonb_set(quantities, '{0,cost}', '0.25')"
        " WHERE reference = $1",
        reference,
    )

    assert await _prune(database) == 0

    async with database.transaction() as tx:
        (fault,) = (await seals.find_faults(tx)).values()
    assert "but what it used costs 0.500000" in fault or "charged 0.25" in fault


async def test_the_edge_is_a_midnight(database: Database, past: Past) -> None:
    cut = await _cut(database)
    before, after = await past.turn("before", "0.5"), await past.turn("after", "0.5")
    await past.move(_LONG_AGO)
    for reference, at in ((before, cut - timedelta(microseconds=1)), (after, cut)):
        await past.plant("UPDATE credit_holds SET ended_at = $2 WHERE reference = $1", reference, at)
        await past.plant("UPDATE metering_events SET recorded_at = $2 WHERE hold_reference = $1", reference, at)
        await past.plant("UPDATE ledger_entries SET created_at = $2 WHERE reference = $1", reference, at)
    await past.plant("TRUNCATE spend_days, spend_marks")
    await past.sum_up()

    await _prune(database)

    assert [await past.names(table) for table in _BOOKS] == [{"after"}, {"after"}]
    assert (await verified(database))[0] == []


async def test_a_hold_stays_that_has_been_used_after_the_edge(database: Database, past: Past) -> None:
    reference = await past.turn("late", "0.5")
    await past.move(_LONG_AGO)
    await past.charge_late(reference, "0.25")
    await past.sum_up()

    assert await _prune(database) == 0

    assert [await past.names(table) for table in _BOOKS] == [{"late"}, {"late"}]
    assert (await verified(database))[0] == []


async def test_nothing_goes_before_it_is_summed_up(database: Database, past: Past) -> None:
    await past.turn("plain", "0.5")
    await past.move(_LONG_AGO)
    await past.plant("UPDATE spend_marks SET entry_id = 0 WHERE organization_id = $1", past.id)
    await past.plant("DELETE FROM spend_days WHERE organization_id = $1", past.id)

    assert await _prune(database) == 0

    await past.sum_up()
    assert await _prune(database) == 1
    assert (await verified(database))[0] == []


async def test_nothing_of_a_month_goes_before_all_of_it_is_sealed(database: Database, past: Past) -> None:
    await past.turn("plain", "0.5")
    await past.move(_LONG_AGO)
    assert await pruning.seal(database, monotonic() + 60)
    await past.plant("UPDATE seal_marks SET sealed_before = now() - $1::interval + interval '1 hour'", _LONG_AGO)

    async with database.transaction() as tx:
        found = dict(await repository.find_with_old_holds(tx, _KEPT))

    # The month of the turn has begun before the turn.
    assert found == {}


async def test_after_any_batch_the_books_are_right(database: Database, past: Past) -> None:
    await _many_kinds(past)
    await past.move(_LONG_AGO)
    before = await verified(database)

    async def seal_one() -> bool:
        async with database.transaction() as tx:
            return (await seals.seal(tx, past.id, 1)).is_done

    while not await seal_one():
        assert await verified(database) == before
    async with database.transaction() as tx:
        ((_, cut),) = await repository.find_with_old_holds(tx, _KEPT)
        await repository.note_cut(tx, past.id, cut)
    left, after = 7, (datetime(1970, 1, 1, tzinfo=UTC), 0)
    while left:
        async with database.transaction() as tx:
            some = await repository.prune_metering(tx, past.id, cut, holds=1, after=after)
        # Only now is it known where it was: a process that dies begins at the oldest again.
        left -= some.removed
        assert len(await past.names("credit_holds")) == left
        assert await verified(database) == before


async def test_several_at_once_remove_each_row_once(database: Database, past: Past) -> None:
    for number in range(60):
        await past.turn(f"turn-{number}", "0.001")
    await past.void("crashed", calls=2)
    await past.move(_LONG_AGO)
    before = await verified(database)

    removed = await asyncio.gather(*(_prune(database) for _ in range(4)))

    assert sum(removed) == 61
    assert await verified(database) == before
    async with database.transaction() as tx:
        marks = await tx.fetch("SELECT pruned_holds, pruned_events, lost_calls FROM seal_marks")
    assert [tuple(mark) for mark in marks] == [(61, 60, 2)]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE ledger_entries SET quantities = jsonb_set(quantities, '{0,calls}', '7')", "the quantities at price"),
        ("UPDATE ledger_entries SET amount = amount / 2 WHERE kind = 'charge'", "charges of 0.5"),
        ("UPDATE sealed_sums SET cost = 1", "the quantities at price"),
        ("UPDATE sealed_days SET charges = 2", "2 charges of"),
        ("UPDATE spend_days SET amount = 1", "are summed up for the key"),
        ("UPDATE seal_marks SET pruned_before = NULL", "without a settled hold"),
        ("UPDATE seal_marks SET entry_id = 0", "charges of 0.5"),
    ],
)  # fmt: skip
async def test_what_is_changed_after_its_events_have_gone_is_found(
    database: Database, past: Past, statement: str, fault: str
) -> None:
    await past.turn("plain", "0.5")
    await past.move(_LONG_AGO)
    await _prune(database)
    assert (await verified(database))[0] == []

    await past.plant(statement)

    assert any(fault in found for found in (await verified(database))[0])


@pytest.mark.parametrize("state", ["old", "open", "new"])
async def test_postgres_refuses_to_delete_what_is_not_sealed(database: Database, past: Past, state: str) -> None:
    if state == "open":
        await past.hold("running")
    else:
        await past.turn("plain", "0.5")
    if state != "new":
        await past.move(_LONG_AGO)

    with pytest.raises(asyncpg.RaiseError, match="holds are deleted only once"):
        async with database.transaction() as tx:
            await tx.execute("DELETE FROM credit_holds WHERE organization_id = $1", past.id)
    if state != "open":
        with pytest.raises(asyncpg.RaiseError, match="only ever added, and deleted only once"):
            async with database.transaction() as tx:
                await tx.execute("DELETE FROM metering_events WHERE organization_id = $1", past.id)


async def test_a_late_use_of_a_hold_that_is_gone_is_neither_kept_nor_charged(database: Database, past: Past) -> None:
    reference = await past.turn("plain", "0.5")
    await past.move(_LONG_AGO)
    await _prune(database)
    ledger = await ledger_of(database)

    await past.charge_late(reference, "0.5")

    assert await ledger_of(database) == ledger
    assert await past.names("metering_events") == set()
