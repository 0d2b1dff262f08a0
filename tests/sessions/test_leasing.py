"""A turn leases a session that goes on and reads its history at once: the history that the session has then."""

import asyncio
from decimal import Decimal

import httpx
import pytest

from app.core.database import Database
from app.core.errors import InvalidRequestError
from app.sessions import service as sessions
from app.sessions.lease import LeasedSession, SessionOwner
from app.sessions.models import Session
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, conversation
from tests.factories import Organization, balance_of
from tests.sessions.conversations import insert_talk
from tests.waiting import until

NAME = "ours"
QUESTION = [{"role": "user", "content": "And then?"}]


@pytest.fixture
async def talk(database: Database, organization: Organization) -> Session:
    return await insert_talk(database, organization, {"role": "user", "content": "Hello"}, public_id=NAME)


def owner_of(organization: Organization) -> SessionOwner:
    return SessionOwner(organization.id, organization.user_id, None)


async def test_the_history_is_read_with_the_lease(
    database: Database, organization: Organization, talk: Session
) -> None:
    leased = await sessions.lease_to_continue(database, owner_of(organization), "turn-1", NAME, QUESTION)

    assert leased is not None
    session, continuation = leased
    assert session == LeasedSession(talk.id, NAME, "turn-1")
    assert [message["content"] for message in continuation.history] == ["Hello"]
    assert await sessions.lease_to_continue(database, owner_of(organization), "turn-2", NAME, QUESTION) is None


async def test_a_session_that_does_not_exist_is_not_leased(database: Database, organization: Organization) -> None:
    assert await sessions.lease_to_continue(database, owner_of(organization), "turn-1", "other", QUESTION) is None


async def test_what_a_late_turn_stores_at_this_moment_is_read_too(
    database: Database, organization: Organization, talk: Session
) -> None:
    """Its lease has run out, so the next turn does not find the session busy, and waits for the row."""
    leased = await sessions.lease_to_continue(database, owner_of(organization), "turn-1", NAME, QUESTION)
    assert leased is not None
    async with database.transaction() as tx:
        await tx.execute("UPDATE sessions SET turn_lease_until = now() - interval '1 second' WHERE id = $1", talk.id)
    async with database.transaction() as tx:
        said = [("host", {"role": "assistant", "content": "Something."})]
        await sessions.end_turn(tx, leased[0], said, superseded=(), failed=False)
        following = asyncio.create_task(
            sessions.lease_to_continue(database, owner_of(organization), "turn-2", NAME, QUESTION)
        )
        await until(lambda: _is_waited_for(database))

    found = await following

    assert found is not None
    assert found[0].turn_id == "turn-2"
    assert [message["content"] for message in found[1].history] == ["Hello", "Something."]


@pytest.mark.parametrize("credit", ["0.000001", "100"])
async def test_a_turn_that_is_refused_gives_its_session_back(
    http: httpx.AsyncClient, database: Database, credit: str
) -> None:
    host = await make_host(database, credit="100")
    await answer_of(http, host, "count to 2", **conversation(NAME))
    if credit != "100":
        left = (await balance_of(database, host)).available
        async with database.transaction() as tx:
            await tx.execute(
                "UPDATE credit_accounts SET balance = balance - $2 WHERE organization_id = $1",
                host.id,
                left - Decimal(credit),
            )
        refused = await ask(http, host, "count to 2", **conversation(NAME))
        assert refused.status_code == 402
    else:
        refused = await ask(http, host, "count to 2", tool_choice="required", **conversation(NAME))
        assert refused.status_code == InvalidRequestError.status

    row = await database.fetch("SELECT turn_id, last_turn_failed FROM sessions WHERE organization_id = $1", host.id)
    assert [dict(each) for each in row] == [{"turn_id": None, "last_turn_failed": False}]


async def _is_waited_for(database: Database) -> bool:
    """Whether a statement that leases a session waits for a lock."""
    waiting: bool = await database.fetchval(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        " AND query LIKE '%WITH seen AS%' AND pid <> pg_backend_pid())"
    )
    return waiting
