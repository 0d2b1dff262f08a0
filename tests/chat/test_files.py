"""PDF and other files in messages: models get them if their catalog entries say so, held for by a number per file."""

import secrets
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import LONGEST_ANSWER, agent, container, make_team
from tests.chat.asking import answer_of, ask, conversation, user
from tests.chat.tools import WEATHER, calls_of
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

# Larger than the history that an agent may see, in bytes.
DATA = "data:application/pdf;base64," + "JVBERi0x" * 20_000
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": DATA}}
READ = user([{"type": "text", "text": "count to 2"}, PDF])


async def price(database: Database, model: str, file_tokens: int) -> None:
    """Price a model that takes files, at one credit for a million tokens of the prompt."""
    lines = [f'name = "{model}"', 'kind = "chat"', f"max_output_tokens = {LONGEST_ANSWER}"]
    tokens = [f"file_tokens = {file_tokens}", "price = { per_million_prompt_tokens = 1 }"]
    await factories.import_catalog(database, "\n".join(["[[models]]", *lines, *tokens]))


async def make_reader(database: Database, file_tokens: int | None) -> Organization:
    """An organization whose agent has a model of its own; without a number it takes no files."""
    model = f"sim-chat-{secrets.token_hex(4)}"
    host = await make_team(database, {"name": "host", "model": model, "max_history_tokens": 10**6}, credit="0.5")
    if file_tokens is not None:
        await price(database, model, file_tokens)
    return host


@pytest.mark.parametrize(("file_tokens", "status"), [(600_000, 402), (20_000, 200), (0, 200)])
async def test_the_hold_for_a_file_is_a_number_of_tokens(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, file_tokens: int, status: int
) -> None:
    host = await make_reader(database, file_tokens)

    response = await ask(http, host, messages=[READ])

    assert response.status_code == status
    assert [request["messages"] for request in upstream.requests()] == ([[READ]] if status == 200 else [])


async def test_a_file_in_the_history_reaches_the_model(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_reader(database, 20_000)
    await answer_of(http, host, messages=[READ], **conversation("ours"))

    await answer_of(http, host, "count to 3", **conversation("ours"))
    again = [READ, {"role": "assistant", "content": "1 2"}, user("count to 3")]
    await answer_of(http, host, messages=again, **conversation("ours"))

    assert [request["messages"] for request in upstream.requests()[1:]] == [again, again]


async def test_a_file_in_the_history_is_held_for(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_reader(database, 200_000)
    await answer_of(http, host, messages=[READ], **conversation("ours"))

    refused = await ask(http, host, messages=[READ, READ], **conversation("ours"))

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")


async def test_a_result_of_a_clients_tool_may_hold_a_file(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_reader(database, 20_000)
    question = user("get weather")
    asked = await answer_of(http, host, messages=[question], tools=[WEATHER])
    result = {"role": "tool", "tool_call_id": calls_of(asked)[0]["id"], "content": [PDF]}
    messages = [question, asked["choices"][0]["message"], result]

    await answer_of(http, host, messages=messages, tools=[WEATHER])

    assert upstream.requests()[-1]["messages"] == messages


async def test_a_file_is_refused_if_the_model_takes_none(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_reader(database, None)

    refused = await ask(http, host, messages=[user("Hello"), READ])

    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "messages.1.content")
    assert "takes no files" in error["message"]
    assert upstream.calls() == []


async def test_a_file_in_the_history_is_refused_if_the_model_takes_none(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    """The conversation was begun with another agent."""
    reader, plain = f"sim-chat-{secrets.token_hex(4)}", f"sim-chat-{secrets.token_hex(4)}"
    host = await make_team(database, agent("host", plain), agent("reader", reader))
    await price(database, reader, 20_000)
    await answer_of(http, host, messages=[READ], model="agent/reader", **conversation("ours"))

    refused = await ask(http, host, "Hello", **conversation("ours"))

    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, "messages")
    assert "takes no files" in error["message"]
    assert len(upstream.calls()) == 1


@pytest.mark.parametrize("is_called", [True, False])
async def test_only_the_models_that_read_the_conversation_must_take_files(
    http: httpx.AsyncClient, database: Database, is_called: bool
) -> None:
    """An agent that is called as a tool does not read it. In a sequence, all agents do."""
    model = f"sim-chat-{secrets.token_hex(4)}"
    chained: list[dict[str, Any]] = [container("SEQUENTIAL", "first", "poet"), agent("first", model), agent("poet")]
    called = [agent("host", model, sub_agents=["poet"]), agent("poet")]
    team = await make_team(database, *(called if is_called else chained))
    await price(database, model, 20_000)

    assert (await ask(http, team, messages=[READ])).status_code == (200 if is_called else 400)
