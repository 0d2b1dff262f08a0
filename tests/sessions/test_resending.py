"""Clients that send the whole conversation with every request, and name it."""

from itertools import pairwise
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, make_host, make_team
from tests.chat.asking import answer_of, ask, conversation, opened_stream, stream, text_of, user
from tests.chat.books import books_of, cost_of
from tests.chat.tools import WEATHER, calls_of, result
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization
from tests.sessions.conversations import make_colleague
from tests.sessions.reading import messages_of

Json = dict[str, Any]
PROMPT = {"role": "system", "content": "You are a patient assistant on the phone."}
GENERATE = "replicate_generate"


def assistant(text: str | None, **fields: Any) -> Json:
    return {"role": "assistant", "content": text, **fields}


async def force_of(http: httpx.AsyncClient, owner: Organization, name: str) -> list[tuple[Any, bool]]:
    """The contents of a session's messages, oldest first, and whether each is superseded."""
    response = await http.get(f"/sessions/{name}/messages", params={"page_size": 100}, headers=owner.headers)
    return [(message["content"], message["superseded"]) for message in response.raise_for_status().json()["messages"]]


async def talk(http: httpx.AsyncClient, owner: Organization, turns: int, **body: Any) -> list[Json]:
    """A conversation of so many turns, sent as a whole each time. Its messages."""
    messages: list[Json] = [PROMPT]
    for number in range(turns):
        messages.append(user(f"count to {number + 2}"))
        answer = await answer_of(http, owner, messages=messages, **body)
        messages.append(answer["choices"][0]["message"])
    return messages


def prompt_tokens(upstream: UpstreamLog) -> list[int]:
    return [call["usage"]["prompt_tokens"] for call in upstream.calls()]


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.mark.parametrize("turns", [4, 20])
async def test_a_conversation_that_is_sent_again_costs_what_it_costs_without_a_name(
    http: httpx.AsyncClient, database: Database, stack: Stack, turns: int
) -> None:
    spent, stored = [], 0
    for body in ({}, conversation("ours")):
        owner, upstream = await make_host(database), UpstreamLog(stack.simulator.log)
        await talk(http, owner, turns, **body)
        spent.append(prompt_tokens(upstream))
        assert (await books_of(database, owner)).total == sum(cost_of([call["usage"]]) for call in upstream.calls())
        stored = len(await messages_of(http, owner, "ours")) if body else 0

    assert spent[0] == spent[1]
    assert stored == 1 + 2 * turns
    # Each turn adds a question and an answer to the prompt, and nothing else.
    assert max(later - earlier for earlier, later in pairwise(spent[1])) < 20


async def test_the_official_client_may_send_everything_again(
    http: httpx.AsyncClient, host: Organization, stack: Stack, upstream: UpstreamLog
) -> None:
    """With the SDK's own messages, which hold fields that are null, streamed and not."""
    messages: list[Any] = [PROMPT]
    async with AsyncOpenAI(api_key=host.api_key, base_url=f"{stack.url}/api/external/v1") as client:
        for number in range(3):
            messages.append(user(f"count to {number + 2}"))
            answer = await client.chat.completions.create(
                model="junis", messages=messages, extra_body=conversation("phone")
            )
            messages.append(answer.choices[0].message)

    sent = upstream.requests()[-1]["messages"]
    assert [message["content"] for message in sent] == [
        PROMPT["content"],
        *("count to 2", "1 2", "count to 3", "1 2 3", "count to 4"),
    ]
    assert len(await messages_of(http, host, "phone")) == 7


@pytest.mark.parametrize("path", ["/v1/chat/completions", "agent"])
async def test_a_session_that_is_named_by_its_id_is_kept_alike(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, path: str
) -> None:
    if path == "agent":
        agents = (await http.get("/agents", headers=host.headers)).json()["agents"]
        path = f"/agents/{agents[0]['id']}/completions"
    messages = [PROMPT, user("count to 2")]
    first = (await ask(http, host, messages=messages, path=path)).json()
    messages += [first["choices"][0]["message"], user("count to 3")]

    second = await stream(http, host, messages=messages, path=path, session_id=first["session_id"])

    assert second.text == "1 2 3"
    assert upstream.requests()[-1]["messages"] == messages
    assert len(await messages_of(http, host, first["session_id"])) == 5


async def test_an_interrupted_answer_supersedes_the_stored_one(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    messages = [PROMPT, user("count to 5")]
    await answer_of(http, host, messages=messages, **conversation("ours"))
    messages += [assistant("1 2…"), user("count to 3")]
    await answer_of(http, host, messages=messages, **conversation("ours"))
    messages += [assistant("1 2 3"), user("count to 9")]
    await answer_of(http, host, messages=messages, **conversation("ours"))
    messages += [assistant("1 2 3 4"), user("count to 2")]
    await answer_of(http, host, messages=messages, **conversation("ours"))

    assert upstream.requests()[-1]["messages"] == messages
    assert await force_of(http, host, "ours") == [
        (PROMPT["content"], False),
        ("count to 5", False),
        ("1 2 3 4 5", True),
        ("1 2…", False),
        ("count to 3", False),
        ("1 2 3", False),
        ("count to 9", False),
        ("1 2 3 4 5 6 7 8 9", True),
        ("1 2 3 4", False),
        ("count to 2", False),
        ("1 2", False),
    ]


async def test_a_regenerated_answer_supersedes_the_first_one(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    messages = await talk(http, host, 2, **conversation("ours"))

    again = await answer_of(http, host, messages=messages[:-1], **conversation("ours"))
    short = await answer_of(http, host, "count to 2", session_id="ours")

    assert (text_of(again), text_of(short)) == ("1 2 3", "1 2")
    assert upstream.requests()[-2]["messages"] == messages[:-1]
    assert upstream.requests()[-1]["messages"] == [*messages, user("count to 2")]
    contents = await force_of(http, host, "ours")
    assert contents[3:6] == [("count to 3", False), ("1 2 3", True), ("1 2 3", False)]


async def test_an_agent_without_memory_sees_the_question_that_is_answered_again(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, max_history_tokens=0)
    messages = await talk(http, host, 2, **conversation("ours"))

    await answer_of(http, host, messages=messages[:-1], **conversation("ours"))

    assert upstream.requests()[-1]["messages"] == [PROMPT, user("count to 3")]


async def test_equal_words_without_the_conversation_are_new(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    for _ in range(3):
        await answer_of(http, host, "count to 2", **conversation("ours"))

    assert len(upstream.requests()[-1]["messages"]) == 5
    assert [force for _, force in await force_of(http, host, "ours")] == [False] * 6


async def test_a_turn_that_is_interrupted_supersedes_what_it_replaces(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_team(database, agent("host", "sim-chat"), agent("slow", "sim-chat--stall-2"))
    messages = await talk(http, host, 2, **conversation("ours"))
    edited = [*messages[:3], user("count to 9")]

    body = {"messages": edited, "model": "agent/slow", **conversation("ours")}
    async with opened_stream(http, host, **body) as opened:
        await opened.read(until=b'"2 "')
    heard = [assistant("1 2"), user("count to 4")]
    await answer_of(http, host, messages=[*edited, *heard], **conversation("ours"))

    assert upstream.requests()[-1]["messages"] == [*edited, assistant("1 2 "), heard[1]]
    contents = await force_of(http, host, "ours")
    assert contents[3:] == [
        ("count to 3", True),
        ("1 2 3", True),
        ("count to 9", False),
        ("1 2 ", False),
        ("count to 4", False),
        ("1 2 3 4", False),
    ]


async def test_a_failed_turn_supersedes_nothing(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, credit="1")
    messages = await talk(http, host, 2, **conversation("ours"))
    edited = [*messages[:2], assistant("1"), user("count to 4")]

    refused = await ask(http, host, messages=edited, tools="none", **conversation("ours"))
    broken = await ask(http, host, messages=[*edited, user("x" * 2_000_000)], **conversation("ours"))

    assert (refused.status_code, broken.status_code) == (400, 402)
    assert [force for _, force in await force_of(http, host, "ours")] == [False] * 5


async def test_conversations_of_others_are_not_compared(
    http: httpx.AsyncClient, database: Database, host: Organization, upstream: UpstreamLog
) -> None:
    messages = [*(await talk(http, host, 2, **conversation("ours"))), user("count to 2")]

    for other in (await make_colleague(database, host), await factories.make_organization(database, agents=None)):
        await answer_of(http, other, messages=messages, **conversation("ours"))
        assert len(await messages_of(http, other, "ours")) == len(messages) + 1

    assert len(await messages_of(http, host, "ours")) == 5


async def test_results_come_back_with_other_ids_and_spellings(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    question = user("get weather")
    asked = await answer_of(http, host, messages=[question], tools=[WEATHER], **conversation("ours"))
    (call,) = calls_of(asked)
    theirs = {**call, "id": "theirs", "function": {**call["function"], "arguments": '{"city":"get weather"}'}}
    again = [question, assistant(None, tool_calls=[theirs], refusal=None, audio=None), result(theirs, "rain")]

    await answer_of(http, host, messages=again, tools=[WEATHER], **conversation("ours"))

    assert upstream.requests()[-1]["messages"] == [question, assistant(None, tool_calls=[call]), result(call, "rain")]
    assert len(await messages_of(http, host, "ours")) == 4


async def test_the_servers_own_calls_stay_in_a_conversation_that_is_sent_again(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, tools=[GENERATE])
    messages = [user("make simulator/text")]
    drawn = await answer_of(http, host, messages=messages, **conversation("ours"))
    messages += [drawn["choices"][0]["message"], user("count to 2")]

    await answer_of(http, host, messages=messages, **conversation("ours"))

    sent = upstream.requests()[-1]["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "tool", "assistant", "user"]
    assert drawn["generated_content"][0]["storage_url"] in sent[2]["content"]


async def test_a_repeated_request_with_a_key_supersedes_nothing(http: httpx.AsyncClient, host: Organization) -> None:
    messages = [*(await talk(http, host, 1, **conversation("ours"))), user("count to 3")]
    headers = {**host.headers, "Idempotency-Key": "again"}
    body = {"messages": messages, **conversation("ours")}

    first, second = [await http.post("/v1/chat/completions", json=body, headers=headers) for _ in range(2)]

    assert second.headers["idempotent-replayed"] == "true"
    assert first.json() == second.json()
    assert [force for _, force in await force_of(http, host, "ours")] == [False] * 5
