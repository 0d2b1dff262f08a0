"""Old sessions go with their messages, and nothing else does."""

import asyncio
import uuid
from datetime import timedelta
from time import monotonic

import pytest

from app.core.database import Database
from app.list_counts.models import CountedList
from app.list_counts.repository import find_total
from app.retention import pruning, repository
from app.sessions.errors import SessionNotFoundError
from app.sessions.lease import SessionOwner
from app.sessions.service import begin_turn
from tests import factories
from tests.content.contents import insert_content
from tests.factories import Organization
from tests.retention.past import verified

_KEPT = timedelta(days=30)
_OLD = timedelta(days=31)
_INSERT = """
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed, last_update_time,
                      turn_id, turn_lease_until)
SELECT $1, $2, $3, $4, $5, false, now() - $6::interval, CASE WHEN $7::interval IS NOT NULL THEN 'turn' END,
       now() + $7::interval
"""
_MESSAGES = """
INSERT INTO messages (session_id, turn_id, role, content)
SELECT $1, 'turn', 'user', to_jsonb('Message ' || n) FROM generate_series(1, $2::int) n
"""


async def _add(
    database: Database,
    organization: Organization,
    name: str,
    age: timedelta = _OLD,
    *,
    messages: int = 2,
    lease: timedelta | None = None,
) -> uuid.UUID:
    """A session that was last used so long ago."""
    session_id = uuid.uuid4()
    async with database.transaction() as tx:
        await tx.execute(_INSERT, session_id, organization.id, organization.user_id, name, messages, age, lease)
        await tx.execute(_MESSAGES, session_id, messages)
    return session_id


async def _names(database: Database, organization: Organization) -> set[str]:
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT public_id FROM sessions WHERE organization_id = $1", organization.id)
        total = await find_total(tx, organization.id, CountedList.SESSIONS, user_id=organization.user_id)
    assert total == len(rows)
    return {row[0] for row in rows}


async def _messages(database: Database, session_id: uuid.UUID) -> int:
    async with database.transaction() as tx:
        count: int = await tx.fetchval("SELECT count(*) FROM messages WHERE session_id = $1", session_id)
    return count


async def _prune(database: Database) -> int:
    pruned = await pruning.prune_sessions(database, _KEPT, monotonic() + 60)
    assert pruned.is_done
    return pruned.removed


def _owner(organization: Organization) -> SessionOwner:
    return SessionOwner(organization.id, organization.user_id, None)


async def test_old_sessions_go_with_their_messages(database: Database, organization: Organization) -> None:
    old = await _add(database, organization, "old")
    new = await _add(database, organization, "new", _KEPT - timedelta(hours=1))
    other = await factories.make_organization(database)
    others = await _add(database, other, "old")

    assert await _prune(database) == 2

    assert await _names(database, organization) == {"new"}
    assert await _names(database, other) == set()
    assert [await _messages(database, each) for each in (old, new, others)] == [0, 2, 0]
    assert (await verified(database))[0] == []


async def test_a_session_that_is_in_use_stays(database: Database, organization: Organization) -> None:
    generating = await _add(database, organization, "generates")
    for status in ("pending", "completed"):
        await insert_content(database, organization, status, session_id=generating)
    await _add(database, organization, "runs", lease=timedelta(seconds=30))
    # Its process sleeps.
    await _add(database, organization, "slept", lease=-timedelta(hours=1))
    await _add(database, organization, "crashed", lease=-timedelta(days=2))

    await _prune(database)

    assert await _names(database, organization) == {"generates", "runs", "slept"}


async def test_what_a_session_has_generated_outlives_it(database: Database, organization: Organization) -> None:
    contents = [
        await insert_content(database, organization, status, session_id=await _add(database, organization, status))
        for status in ("completed", "failed")
    ]

    await _prune(database)

    assert await _names(database, organization) == set()
    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT id, session_id FROM generations")
        outputs = await tx.fetchval("SELECT count(*) FROM outputs")
    assert {tuple(row) for row in rows} == {(content.id, None) for content in contents}
    assert outputs == 1


async def test_a_long_session_goes_in_pieces_and_its_name_is_free_at_once(
    database: Database, organization: Organization
) -> None:
    long = await _add(database, organization, "long", messages=2500)

    async with database.transaction() as tx:
        some = await repository.prune_sessions(tx, organization.id, _KEPT, sessions=100, messages=1000)
    assert (some.removed, some.long) == (0, long)
    async with database.transaction() as tx:
        await repository.shorten_session(tx, long, _KEPT, messages=1000)

    # Here a process may die: what is left is nobody's conversation any more, and goes with the next round.
    assert await _messages(database, long) == 1500
    async with database.transaction() as tx:
        begun = await begin_turn(tx, _owner(organization), "turn", session_name=None, conversation_name="long")
    assert begun.id != long

    assert await _prune(database) == 1

    assert await _names(database, organization) == {"long"}
    assert await _messages(database, long) == 0


@pytest.mark.parametrize("is_named_by_client", [True, False])
async def test_a_turn_that_comes_while_its_session_goes(
    database: Database, organization: Organization, is_named_by_client: bool
) -> None:
    old = await _add(database, organization, "old")
    names = {"conversation_name": "old"} if is_named_by_client else {"session_name": "old"}
    named: dict[str, str | None] = {"session_name": None, "conversation_name": None, **names}

    async def begin() -> uuid.UUID:
        async with database.transaction() as tx:
            return (await begin_turn(tx, _owner(organization), "turn", **named)).id

    async with database.transaction() as tx:
        await repository.prune_sessions(tx, organization.id, _KEPT, sessions=100, messages=1000)
        beginning = asyncio.create_task(begin())
        await asyncio.sleep(0.3)
        assert not beginning.done()

    if is_named_by_client:
        assert await beginning != old
        assert await _names(database, organization) == {"old"}
    else:
        with pytest.raises(SessionNotFoundError):
            await beginning


async def test_a_session_that_somebody_has_locked_is_passed_over(
    database: Database, organization: Organization
) -> None:
    busy = await _add(database, organization, "busy")
    await _add(database, organization, "old")

    async with database.transaction() as tx:
        await tx.execute("SELECT FROM sessions WHERE id = $1 FOR UPDATE", busy)
        assert await asyncio.wait_for(_prune(database), 5) == 1

    assert await _names(database, organization) == {"busy"}


async def test_several_at_once_remove_each_session_once(database: Database, organization: Organization) -> None:
    for number in range(150):
        await _add(database, organization, f"old-{number}", messages=10)

    removed = await asyncio.gather(*(_prune(database) for _ in range(4)))

    assert sum(removed) == 150
    assert await _names(database, organization) == set()
