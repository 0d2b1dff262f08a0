"""Results of the client's tools, wherever they are among a turn's messages."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, ask, user
from tests.chat.openai.grammar import check_error
from tests.chat.tools import WEATHER, calls_of, result
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.mark.parametrize("history_tokens", [0, 32_000])
@pytest.mark.parametrize(
    "before",
    [[{"role": "system", "content": "Be kind."}, {"role": "developer", "content": "Be quick."}], [user("Well?")]],
)
async def test_a_result_may_come_after_other_messages(
    http: httpx.AsyncClient,
    database: Database,
    upstream: UpstreamLog,
    history_tokens: int,
    before: list[dict[str, Any]],
) -> None:
    """Clients that always send their system prompt first also send it before results."""
    host = await make_host(database, max_history_tokens=history_tokens)
    asked = await answer_of(http, host, messages=[before[0], user("get weather")], tools=[WEATHER])
    (call,) = calls_of(asked)

    messages = [*before, result(call, "rain")]
    await answer_of(http, host, messages=messages, session_id=asked["session_id"], tools=[WEATHER])

    said = upstream.requests()[-1]["messages"]
    calling = next(index for index, message in enumerate(said) if "tool_calls" in message)
    assert said[calling]["tool_calls"] == [call]
    assert said[calling + 1 :] == [result(call, "rain"), *before]


async def test_the_later_of_two_results_for_one_call_counts(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    asked = await answer_of(http, host, "get weather", tools=[WEATHER])
    (call,) = calls_of(asked)

    for told in ("rain", "sun"):
        messages = [result(call, told)]
        await answer_of(http, host, messages=messages, session_id=asked["session_id"], tools=[WEATHER])

    said = upstream.requests()[-1]["messages"]
    assert [message["content"] for message in said if message["role"] == "tool"] == ["sun"]


@pytest.mark.parametrize("is_continued", [True, False])
async def test_a_result_without_its_call_is_refused(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, is_continued: bool
) -> None:
    session = {"session_id": (await answer_of(http, host, "Hello"))["session_id"]} if is_continued else {}
    count = len(upstream.calls())
    called = {"id": "call_2", "type": "function", "function": {"name": "get_time", "arguments": "{}"}}
    other = {"role": "assistant", "content": None, "tool_calls": [called]}

    refused = await ask(http, host, messages=[user("Hello"), result({"id": "call_1"}, "rain"), other], **session)

    assert refused.status_code == 400
    error = refused.json()["error"]
    check_error(error)
    assert (error["code"], error["param"]) == ("invalid_request", "messages.1.tool_call_id")
    assert len(upstream.calls()) == count
