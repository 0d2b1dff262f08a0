"""What a request for a response asks of a turn, and what it cannot ask."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.responses.asking import MODEL, RESPONSES, TIME, WEATHER, calls_in, output, post, response_of, text_of
from tests.chat.tools import WEATHER as CHAT_WEATHER
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

SCHEMA = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}
# What Codex offers besides its functions.
OTHER_TOOLS = [
    {"type": "web_search", "external_web_access": False},
    {"type": "namespace", "name": "files", "tools": [WEATHER]},
    {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "a"}},
]


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


async def test_the_model_gets_what_it_would_get_of_a_chat(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    asked = {
        "instructions": "Be brief.",
        "tools": [WEATHER, *OTHER_TOOLS],
        "tool_choice": {"type": "function", "name": "get_weather"},
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "top_p": 0.5,
        "max_output_tokens": 100,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {
            "format": {"type": "json_schema", "name": "poem", "schema": SCHEMA, "strict": True},
            "verbosity": "low",
        },
        "user": "ada",
        "service_tier": "flex",
        "prompt_cache_key": "cache",
        "safety_identifier": "ada",
        "metadata": {"kind": "test"},
        "store": False,
        "include": ["reasoning.encrypted_content", "file_search_call.results"],
        "truncation": "auto",
        "max_tool_calls": 3,
        "client_metadata": {"x": "y"},
        "stream_options": {"include_obfuscation": True},
        "seed": 7,
        "top_k": 40,
    }

    response = await response_of(http, host, "get weather", **asked)

    sent = upstream.the_request()
    messages = sent.pop("messages")
    assert messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "get weather"}]
    assert sent == {
        "model": "sim-chat",
        "tools": [CHAT_WEATHER],
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "top_p": 0.5,
        "max_tokens": 100,
        "reasoning_effort": "low",
        "verbosity": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "poem", "schema": SCHEMA, "strict": True}},
        "user": "ada",
        "service_tier": "flex",
        "prompt_cache_key": "cache",
        "safety_identifier": "ada",
        "seed": 7,
        "top_k": 40,
    }
    assert [tool["name"] for tool in response["tools"]] == ["get_weather"]
    for name in ("instructions", "tool_choice", "temperature", "max_output_tokens", "metadata", "max_tool_calls"):
        assert response[name] == asked[name]


async def test_a_call_and_its_result(http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog) -> None:
    question = {"role": "user", "content": "get weather"}
    first = await response_of(http, host, [question], tools=[WEATHER])
    (call,) = calls_in(first)

    second = await response_of(http, host, [question, *first["output"], output(call, "rain")], tools=[WEATHER])

    assert "rain" in text_of(second)
    said = upstream.requests()[-1]["messages"]
    assert [each["role"] for each in said] == ["user", "assistant", "tool"]
    assert said[2]["tool_call_id"] == call["call_id"]


async def test_required_means_the_clients_own_functions(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, tools=["replicate_generate"])

    response = await response_of(http, host, "Hello", tools=[WEATHER], tool_choice="required")

    assert [call["name"] for call in calls_in(response)] == ["get_weather"]


async def test_only_allowed_functions_are_called(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "get_time"}]}

    await response_of(http, host, "Hello", tools=[WEATHER, TIME], tool_choice=allowed)

    assert upstream.the_request()["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [{"type": "function", "function": {"name": "get_time"}}]},
    }


async def test_a_response_counts_and_costs_what_a_chat_does(http: httpx.AsyncClient, host: Organization) -> None:
    messages = [{"role": "user", "content": "count to 4"}]
    chat = (await http.post("/v1/chat/completions", json={"messages": messages}, headers=host.headers)).json()["usage"]

    usage = (await response_of(http, host, "count to 4"))["usage"]

    assert [usage["input_tokens"], usage["output_tokens"]] == [chat["prompt_tokens"], chat["completion_tokens"]]
    assert usage["total_tokens"] == chat["total_tokens"]
    assert usage["input_tokens_details"]["cached_tokens"] == usage["output_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"messages": []}, "messages"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"Max-Completion-Tokens": 5}, "Max-Completion-Tokens"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "text"}}, "response_format"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"background": True, "store": False}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"model": None}, "model"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"metadata": {str(number): "a" for number in range(17)}}, "metadata"),
        ({"tools": [{"name": "look"}]}, "tools.0"),
        ({"tools": [{"type": "function", "function": {"name": "look"}}]}, "tools.0.name"),
        ({"tools": [{"type": "function", "name": "look", "parameters": 7}]}, "tools.0.parameters"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": 7}, "tool_choice"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "look"}, "tools": [WEATHER]}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"text": {"format": {"type": "json_schema", "schema": SCHEMA}}}, "text.format"),
        ({"reasoning": {"summary": "long"}}, "reasoning.summary"),
        ({"input": [output({"call_id": "lost"}, "rain")]}, "input.0.call_id"),
        (
            {"input": [{"type": "reasoning"}, output({"call_id": "lost"}, "")], "instructions": "a"},
            "input.1.call_id",
        ),
    ],
)
async def test_a_refusal_names_its_parameter(
    http: httpx.AsyncClient, host: Organization, body: dict[str, Any], param: str
) -> None:
    given = {"model": MODEL, "input": "Hello", **body}

    refused = await http.post(RESPONSES, json=given, headers=host.headers)

    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == param
    assert refused.json()["error"]["message"].startswith(f"{param}: ")


async def test_a_refusal_comes_before_a_stream_begins(http: httpx.AsyncClient, host: Organization) -> None:
    refused = await post(http, host, [], stream=True)

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input")


async def test_another_agent_is_named_as_in_a_chat(http: httpx.AsyncClient, host: Organization) -> None:
    assert (await response_of(http, host, "Hello", model="agent/host"))["model"] == "agent/host"
    assert (await post(http, host, "Hello", model="agent/nobody")).status_code == 404


async def test_there_is_no_address_for_what_is_not_served(client: httpx.AsyncClient) -> None:
    refused = await client.post(f"{RESPONSES}/compact", json={"model": MODEL, "input": "Hello"})

    assert refused.status_code == 404
