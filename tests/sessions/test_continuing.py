"""Sessions of several turns, whose messages the server remembers."""

import asyncio

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, conversation, stream, text_of, user
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.conversations import make_colleague
from tests.sessions.reading import messages_of


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database)


async def test_a_named_session_is_continued(http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog) -> None:
    first = await answer_of(http, host, "count to 2")
    second = await stream(http, host, "count to 3", session_id=first["session_id"])
    third = await answer_of(http, host, "count to 4", session_id=first["session_id"])

    assert {second.session_id, third["session_id"]} == {first["session_id"]}
    assert [message["content"] for message in upstream.requests()[-1]["messages"]] == [
        "count to 2",
        "1 2",
        "count to 3",
        "1 2 3",
        "count to 4",
    ]
    assert len(await messages_of(http, host, first["session_id"])) == 6


async def test_without_a_name_each_turn_is_a_session_of_its_own(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    first = await answer_of(http, host, "count to 2")
    second = await answer_of(http, host, "count to 2")

    assert first["session_id"] != second["session_id"]
    assert [len(request["messages"]) for request in upstream.requests()] == [1, 1]


async def test_a_conversation_named_by_the_client_is_created_and_continued(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    first = await answer_of(http, host, "count to 2", **conversation("phone call 7"))
    second = await answer_of(http, host, "count to 3", **conversation("phone call 7"))
    third = await answer_of(http, host, "count to 4", session_id="phone call 7")

    assert {first["session_id"], second["session_id"], third["session_id"]} == {"phone call 7"}
    assert [len(request["messages"]) for request in upstream.requests()] == [1, 3, 5]


async def test_two_first_turns_of_one_conversation_create_it_once(http: httpx.AsyncClient, host: Organization) -> None:
    answers = await asyncio.gather(*(answer_of(http, host, "count to 2", **conversation("ours")) for _ in range(2)))

    assert [answer["session_id"] for answer in answers] == ["ours", "ours"]
    assert len(await messages_of(http, host, "ours")) == 4


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_an_unknown_session_is_not_found(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, is_streamed: bool
) -> None:
    response = await ask(http, host, "Hello", session_id="sess-of-nobody", stream=is_streamed)

    assert response.status_code == 404
    assert (response.json()["error"]["type"], response.json()["error"]["code"]) == (
        "not_found_error",
        "session_not_found",
    )
    assert upstream.calls() == []


async def test_sessions_of_other_users_are_not_found(
    http: httpx.AsyncClient, database: Database, host: Organization, upstream: UpstreamLog
) -> None:
    session_id = (await answer_of(http, host, "count to 2", **conversation("ours")))["session_id"]
    colleague = await make_colleague(database, host)
    stranger = await factories.make_organization(database)

    for other in (colleague, stranger):
        response = await ask(http, other, "Hello", session_id=session_id)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "session_not_found")
    own = await answer_of(http, colleague, "count to 3", **conversation("ours"))

    assert own["session_id"] == "ours"
    assert upstream.requests()[-1]["messages"] == [user("count to 3")]
    assert len(await messages_of(http, host, "ours")) == 2


async def test_only_as_much_history_is_sent_as_the_agent_may_see(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, max_history_tokens=25)
    for number in (2, 3, 4, 5):
        await answer_of(http, host, f"count to {number}", **conversation("ours"))

    sent = upstream.requests()[-1]["messages"]
    assert [message["content"] for message in sent] == ["count to 4", "1 2 3 4", "count to 5"]
    assert len(await messages_of(http, host, "ours")) == 8


async def test_an_agent_without_memory_sees_only_the_new_messages(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, max_history_tokens=0)
    for _ in range(2):
        await answer_of(http, host, "count to 2", **conversation("ours"))

    assert upstream.requests()[-1]["messages"] == [user("count to 2")]


async def test_everything_that_the_client_said_is_remembered_as_it_was(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    said = [
        {"role": "system", "content": "Be kind."},
        {**user([{"type": "text", "text": "Grüße 🎈"}, picture]), "name": "ada"},
        {**user("Hello"), "name": ""},
    ]

    await answer_of(http, host, messages=said, **conversation("ours"))
    await answer_of(http, host, "count to 2", **conversation("ours"))

    assert upstream.requests()[-1]["messages"][:3] == said


async def test_an_empty_answer_does_not_break_the_next_turn(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    empty = await answer_of(http, host, "repeat after me:", **conversation("ours"))
    await answer_of(http, host, "count to 2", **conversation("ours"))

    assert text_of(empty) == ""
    # Models refuse an assistant's message that has neither content nor calls.
    assert upstream.requests()[-1]["messages"][1] == {"role": "assistant", "content": ""}
