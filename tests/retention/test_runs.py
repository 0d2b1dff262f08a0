"""Each kind is pruned once an hour, by one process at a time, and what went is in the log of changes."""

from datetime import timedelta

import pytest

from app.audit.actor import SERVER
from app.core.database import Database
from app.retention import runs
from app.retention.models import Kind
from app.retention.policy import RetentionPolicy
from app.retention.service import count_prunable, prune, prune_due
from tests.factories import Organization
from tests.retention.past import Past

_POLICY = RetentionPolicy(sessions=timedelta(days=30), metering=timedelta(days=40))
_OLD = """
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed, last_update_time)
SELECT gen_random_uuid(), $1, $2, 'old-' || n, 0, false, now() - interval '31 days' FROM generate_series(1, $3::int) n
"""


async def _add_old(database: Database, organization: Organization, count: int = 2) -> None:
    async with database.transaction() as tx:
        await tx.execute(_OLD, organization.id, organization.user_id, count)


async def _sessions(database: Database) -> int:
    async with database.transaction() as tx:
        count: int = await tx.fetchval("SELECT count(*) FROM sessions")
    return count


async def _pruned_events(database: Database) -> list[tuple[str, str]]:
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT object_id, after ->> 'removed' FROM audit_events WHERE event = 'data_pruned' ORDER BY id"
        )
    return [tuple(row) for row in rows]


async def test_what_is_due_is_done_once_an_hour(database: Database, organization: Organization) -> None:
    await _add_old(database, organization)
    await prune_due(database, _POLICY)
    await _add_old(database, organization)

    await prune_due(database, _POLICY)
    assert await _sessions(database) == 2

    async with database.transaction() as tx:
        await tx.execute("UPDATE retention_runs SET due_at = due_at - interval '1 hour'")
    await prune_due(database, _POLICY)

    assert await _sessions(database) == 0
    assert await _pruned_events(database) == [("sessions", "2"), ("sessions", "2")]


async def test_without_settings_nothing_goes(database: Database, organization: Organization) -> None:
    await _add_old(database, organization)
    past = Past(database, organization)
    await past.turn("plain", "0.5")
    await past.move(timedelta(days=1000))

    await prune_due(database, RetentionPolicy())

    assert await _sessions(database) == 2
    assert await past.names("credit_holds") == {"plain"}
    assert await _pruned_events(database) == []


async def test_one_process_at_a_time(database: Database, organization: Organization) -> None:
    await _add_old(database, organization)
    async with database.transaction() as tx:
        lease = await runs.claim(tx, Kind.SESSIONS, now=False)
    assert lease is not None

    assert await prune(database, _POLICY, Kind.SESSIONS, SERVER, now=True) is None

    # The process has died.
    async with database.transaction() as tx:
        await tx.execute("UPDATE retention_runs SET lease_until = now() - interval '1 second'")
    await prune_due(database, _POLICY)
    assert await _sessions(database) == 0
    async with database.transaction() as tx:  # it was only asleep
        assert await runs.leave(tx, Kind.SESSIONS, lease, 5, is_done=True) is None
        (run,) = [each for each in await runs.last_runs(tx) if each.kind is Kind.SESSIONS]
    assert (run.removed, run.is_done) == (2, True)


async def test_a_run_that_is_not_done_goes_on_at_once(database: Database, organization: Organization) -> None:
    await _add_old(database, organization)
    async with database.transaction() as tx:
        lease = await runs.claim(tx, Kind.SESSIONS, now=False)
    assert lease is not None
    async with database.transaction() as tx:
        await runs.leave(tx, Kind.SESSIONS, lease, 7, is_done=False)

    await prune_due(database, _POLICY)

    assert await _pruned_events(database) == [("sessions", "9")]


@pytest.mark.parametrize("kept", [None, timedelta(days=40)])
async def test_what_could_go_is_counted(database: Database, organization: Organization, kept: timedelta | None) -> None:
    await _add_old(database, organization, 3)
    past = Past(database, organization)
    for number in range(4):
        await past.turn(f"turn-{number}", "0.5")
    await past.hold("running")
    await past.move(timedelta(days=50))

    async with database.transaction() as tx:
        counts = await count_prunable(tx, RetentionPolicy(sessions=kept and timedelta(days=30), metering=kept))

    kinds = {Kind.SESSIONS: 3, Kind.METERING: 4} if kept else {}
    assert counts == {Kind.IDEMPOTENCY_KEYS: 0, Kind.INPUT_FILES: 0, **kinds}
