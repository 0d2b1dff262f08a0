"""What the server generates in an answer that also calls a tool of the client's: its link is part of the answer."""

from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, conversation, stream, text_of, user
from tests.chat.tools import WEATHER, calls_of, names_of, result
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization

WORDS = "make simulator/image and get_weather"


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database, tools=["replicate_generate"])


async def contents_of(http: httpx.AsyncClient, owner: Organization) -> list[dict[str, Any]]:
    """What the organization has had generated."""
    items: list[dict[str, Any]] = (await http.get("/content", headers=owner.headers)).json()["items"]
    return items


async def test_a_client_that_sends_its_history_back_pays_for_a_picture_once(
    http: httpx.AsyncClient, host: Organization, stack: Stack, upstream: UpstreamLog
) -> None:
    messages: list[Any] = [user(WORDS)]
    tools: Any = [WEATHER]
    async with AsyncOpenAI(api_key=host.api_key, base_url=f"{stack.url}/api/external/v1") as client:
        asked = (await client.chat.completions.create(model="junis", messages=messages, tools=tools)).choices[0]
        (call,) = asked.message.tool_calls or []
        messages += [asked.message, result({"id": call.id}, "rain")]
        told = (await client.chat.completions.create(model="junis", messages=messages, tools=tools)).choices[0]

    (made,) = await contents_of(http, host)
    assert asked.finish_reason == "tool_calls"
    assert asked.message.content == f"![image]({made['storage_url']})"
    assert told.finish_reason == "stop"
    _, assistant, told_by_client = upstream.requests()[-1]["messages"]
    assert assistant["content"] == asked.message.content
    assert names_of(assistant["tool_calls"]) == ["get_weather"]
    assert told_by_client["content"] == "rain"


@pytest.mark.parametrize("words", [WORDS, f'first say "one moment", then {WORDS}'])
async def test_a_stream_has_the_link_before_it_ends(http: httpx.AsyncClient, host: Organization, words: str) -> None:
    streamed = await stream(http, host, words, tools=[WEATHER])

    (made,) = (streamed.finish or {})["generated_content"]
    before = "one moment\n\n" if "one moment" in words else ""
    assert streamed.text == f"{before}![image]({made['storage_url']})"
    assert streamed.finish_reason == "tool_calls"
    assert names_of(streamed.calls) == ["get_weather"]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_repeated_request_has_the_link_too(
    http: httpx.AsyncClient, host: Organization, is_streamed: bool
) -> None:
    headers = {**host.headers, "Idempotency-Key": "once"}
    body = {"messages": [user(WORDS)], "tools": [WEATHER], "stream": is_streamed}

    await http.post("/v1/chat/completions", json=body, headers=headers)
    replayed = await http.post("/v1/chat/completions", json=body, headers=headers)

    (made,) = await contents_of(http, host)
    assert replayed.headers["idempotent-replayed"] == "true"
    assert replayed.text.count(f"![image]({made['storage_url']})") == 1


async def test_the_session_keeps_the_link_and_knows_it_again(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    asked = await answer_of(http, host, WORDS, tools=[WEATHER], **conversation("ours"))
    (call,) = calls_of(asked)
    message = asked["choices"][0]["message"]

    for text in (text_of(asked), None):
        again = [user(WORDS), {**message, "content": text}, result(call, "rain")]
        await answer_of(http, host, messages=again, tools=[WEATHER], **conversation("ours"))

        said = upstream.requests()[-1]["messages"]
        assert [each["role"] for each in said] == ["user", "assistant", "tool", "tool"]
        assert said[1]["content"] == text_of(asked)
        assert names_of(said[1]["tool_calls"]) == ["replicate_generate", "get_weather"]
    assert len(await contents_of(http, host)) == 1
