"""The parameters of a request: which are sent to the model, and which are refused."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import LONGEST_ANSWER, make_host
from tests.chat.asking import answer_of, ask, stream, text_of, user
from tests.chat.books import tokens_of
from tests.chat.openai.grammar import check_error
from tests.chat.tools import WEATHER
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization

SCHEMA = {"type": "object", "properties": {"size": {"type": "integer"}}, "required": ["size"]}
PARAMETERS: dict[str, Any] = {
    "temperature": 0,
    "top_p": 0.25,
    "max_tokens": 88,
    "frequency_penalty": -0.5,
    "presence_penalty": 2,
    "stop": ["never", "nowhere"],
    "seed": 42,
    "response_format": {"type": "json_schema", "json_schema": {"name": "size", "schema": SCHEMA, "strict": True}},
    "logprobs": True,
    "top_logprobs": 3,
    "user": "user-7",
    "metadata": {"trace": "abc"},
    "modalities": ["text"],
    "reasoning_effort": "xhigh",
    "verbosity": "low",
    "logit_bias": {"50256": -100, "11": 0.5},
    "service_tier": "flex",
    "prediction": {"type": "content", "content": "a size"},
    "store": False,
    "prompt_cache_key": "of-ada",
    "safety_identifier": "ada",
    # Those that the server does not know.
    "top_k": 40,
    "chat_template_kwargs": {"enable_thinking": False},
    "some_day": [1, {"a": None}],
}


def called(function: Any) -> dict[str, Any]:
    """A message with a call of this function."""
    return {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": function}]}


def allowed(*names: str) -> dict[str, Any]:
    """A choice among these tools."""
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}}


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000, "detail": "low"}}


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_parameters_reach_the_model_unchanged(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, is_streamed: bool
) -> None:
    await (stream if is_streamed else answer_of)(http, host, "Hello", **PARAMETERS)

    request = upstream.the_request()
    own = {"model": "sim-chat", "messages": [user("Hello")]}
    streaming = {"stream": True, "stream_options": {"include_usage": True}} if is_streamed else {}
    assert request == PARAMETERS | own | streaming


@pytest.mark.parametrize(
    ("limits", "sent"),
    [
        ({}, LONGEST_ANSWER),
        ({"max_tokens": 77}, 77),
        ({"max_tokens": 5000}, LONGEST_ANSWER),
        ({"max_completion_tokens": 77}, 77),
        ({"max_completion_tokens": 5000}, LONGEST_ANSWER),
        ({"max_completion_tokens": 77, "max_tokens": 88}, 77),
        ({"max_completion_tokens": 88, "max_tokens": 77}, 77),
    ],
)
async def test_an_answer_always_has_one_limit_which_the_hold_covers(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, limits: dict[str, Any], sent: int
) -> None:
    await answer_of(http, host, "Hello", **limits)

    request = upstream.the_request()
    assert {name: value for name, value in request.items() if name.startswith("max_")} == {"max_tokens": sent}


async def test_the_response_is_openais_plus_the_session(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    response = await ask(http, host, "count to 3")

    body = response.json()
    assert list(body) == ["id", "object", "created", "model", "choices", "usage", "session_id"]
    assert body["id"].startswith("cmpl-")
    assert (body["object"], body["model"]) == ("chat.completion", "junis-orchestrator")
    message = {"role": "assistant", "content": "1 2 3"}
    assert body["choices"] == [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}]
    assert tokens_of(body["usage"]) == upstream.calls()[0]["usage"]
    assert response.headers["x-session-id"] == body["session_id"]


async def test_structured_output_comes_back(http: httpx.AsyncClient, host: Organization) -> None:
    answer = await answer_of(http, host, "How large?", response_format=PARAMETERS["response_format"])

    assert text_of(answer) == '{"size": 1}'


@pytest.mark.parametrize(
    "ignored",
    [
        {"model": "gpt-4o"},
        {"n": 1},
        {"stream": False},
        {"stream": None, "temperature": None, "tools": None, "session_id": None, "n": None, "modalities": None},
        {"some_day": None, "audio": None, "functions": None, "function_call": None, "best_of": None},
    ],
)
async def test_what_is_for_the_server_and_what_is_empty_does_not_reach_the_model(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, ignored: dict[str, Any]
) -> None:
    await answer_of(http, host, "Hello", **ignored)

    assert upstream.the_request() == {
        "model": "sim-chat",
        "messages": [user("Hello")],
        "max_tokens": LONGEST_ANSWER,
    }


async def test_the_user_of_elevenlabs_is_the_user(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    await answer_of(http, host, "Hello", user_id="ada")

    assert (upstream.the_request().get("user"), "user_id" in upstream.the_request()) == ("ada", False)


async def test_the_hold_covers_a_prediction_that_is_not_used(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    """A prompt of a few hundred tokens and the longest answer could be paid for, the prediction beside it could not."""
    host = await make_host(database, credit="0.003")

    await answer_of(http, host, "Hello")
    refused = await ask(http, host, "Hello", prediction={"type": "content", "content": "p" * 500})

    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "insufficient_credits")
    assert len(upstream.calls()) == 1


async def test_pictures_reach_the_model(http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog) -> None:
    content = [{"type": "text", "text": "What is this?"}, IMAGE, IMAGE]

    answer = await answer_of(http, host, messages=[user(content)])

    assert upstream.the_request()["messages"] == [user(content)]
    assert "I saw 2 images" in text_of(answer)


async def test_the_agents_instruction_comes_before_the_clients_own(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, instruction="\nBe brief.\n", temperature=0.5, max_output_tokens=50)
    said = [
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be quick."},
        {**user("Hello"), "name": "ada"},
        {"role": "assistant", "content": "Hi"},
        user("Again"),
    ]

    await answer_of(http, host, messages=said)
    await answer_of(http, host, messages=said, temperature=1, max_tokens=20)

    by_agent, by_client = upstream.requests()
    assert by_agent["messages"] == [{"role": "system", "content": "Be brief."}, *said]
    assert (by_agent["temperature"], by_agent["max_tokens"]) == (0.5, 50)
    assert (by_client["temperature"], by_client["max_tokens"]) == (1, 20)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages.0"),
        ({"messages": [{"content": "Hello"}]}, "messages.0.role"),
        ({"messages": [{"role": "robot", "content": "Hello"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ["Hello"]}]}, "messages.0.content"),
        ({"messages": [user("Hello"), {"role": "tool", "content": "42"}]}, "messages.1"),
        ({"messages": [{"role": "assistant", "audio": {"id": "audio-of-somebody"}}]}, "messages.0.audio"),
        ({"messages": [{"role": "assistant", "function_call": {"name": "f"}}]}, "messages.0.function_call"),
        ({"messages": [called("f")]}, "messages.0.tool_calls.0.function"),
        ({"messages": [called(None)]}, "messages.0.tool_calls.0"),
        ({"messages": [called({"name": "f"})]}, "messages.0.tool_calls.0.function.arguments"),
        ({"messages": [called({"arguments": "{}"})]}, "messages.0.tool_calls.0.function.name"),
        ({"messages": [called({"name": "f", "arguments": {}})]}, "messages.0.tool_calls.0.function.arguments"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "a"}]}]}, "messages.0.tool_calls.0"),
        ({"messages": [{**user("Hello"), "name": 7}]}, "messages.0.name"),
        ({"messages": [{**user("Hello"), "name": "n" * 257}]}, "messages.0.name"),
        ({"messages": [user("Hello"), {**user("Hello"), "weight": 2**64}]}, "messages.1"),
        ({"n": 2}, "n"),
        ({"n": True}, "n"),
        ({"n": 1.0}, "n"),
        ({"seed": 2**64}, "seed"),
        ({"seed": str(2**64)}, "seed"),
        ({"max_tokens": 2**64}, "max_tokens"),
        ({"metadata": {"a": [2**64]}}, "metadata"),
        ({"metadata": {"a": "\0"}}, "metadata"),
        ({"response_format": {"type": "json_schema", "json_schema": {"a": -(2**64)}}}, "response_format"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {"maximum": 2**64}}}]}, "tools"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.1}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"frequency_penalty": 3}, "frequency_penalty"),
        ({"presence_penalty": -3}, "presence_penalty"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"stop": 7}, "stop"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": "{}"}}}, "response_format"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"modalities": ["image"]}, "modalities"),
        ({"audio": {"voice": "ash", "format": "wav"}}, "audio"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"function_call": "auto"}, "function_call"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"logit_bias": ["50256"]}, "logit_bias"),
        ({"models": ["dearer"]}, "models"),
        ({"stream": "please"}, "stream"),
        ({"stream_options": {"include_usage": "please"}}, "stream_options.include_usage"),
        ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools.0.function.name"),
        ({"tools": [{"type": "magic", "function": {"name": "f"}}]}, "tools.0.type"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": "{}"}}]},
            "tools.0.function.parameters",
        ),
        ({"tool_choice": 7}, "tool_choice"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"tool_choice": "f"}, "tool_choice"),
        ({"tool_choice": "any", "tools": [WEATHER]}, "tool_choice"),
        ({"tool_choice": {"type": "any"}, "tools": [WEATHER]}, "tool_choice"),
        ({"tool_choice": {"type": "function", "function": {"name": "get_time"}}, "tools": [WEATHER]}, "tool_choice"),
        ({"tool_choice": allowed("get_weather", "get_time"), "tools": [WEATHER]}, "tool_choice"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": "s" * 513}, "session_id"),
        ({"session_id": "a\0b"}, "session_id"),
        ({"session_id": True}, "session_id"),
        ({"elevenlabs_extra_body": {"conversation_id": "s" * 513}}, "elevenlabs_extra_body.conversation_id"),
        ({"elevenlabs_extra_body": {"conversation_id": 2**64}}, "elevenlabs_extra_body"),
        ({"elevenlabs_extra_body": {"conversation_id": "a\0"}}, "elevenlabs_extra_body"),
        ({"elevenlabs_extra_body": {"conversation_id": False}}, "elevenlabs_extra_body.conversation_id"),
        ({"elevenlabs_extra_body": {"conversation_id": ["a"]}}, "elevenlabs_extra_body.conversation_id"),
    ],
)
async def test_an_invalid_parameter_is_refused_with_its_location(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, body: dict[str, Any], param: str
) -> None:
    is_about_messages = not body or "messages" in body
    response = await ask(http, host, None if is_about_messages else "Hello", **body)

    assert response.status_code == 400
    error = response.json()["error"]
    check_error(error)
    assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_request")
    assert error["param"].startswith(param)
    assert upstream.calls() == []


NO_OBJECTS = [b"", b"{", b"[]", b'"hello"', b"\xff"]
# Postgres stores no NUL, and half of a surrogate pair is not a character.
NO_TEXT = [b'{"messages": [{"role": "user", "content": "%s"}]}' % escape for escape in (b"a\\u0000b", b"\\ud800")]


async def test_half_a_character_names_no_session(http: httpx.AsyncClient, host: Organization) -> None:
    body = b'{"session_id": "\\ud800", "messages": [{"role": "user", "content": "Hello"}]}'
    headers = {**host.headers, "Content-Type": "application/json"}

    response = await http.post("/v1/chat/completions", content=body, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert "not valid JSON" in response.json()["error"]["message"]


@pytest.mark.parametrize("body", [*NO_OBJECTS, *NO_TEXT])
async def test_a_body_that_cannot_be_read_or_stored_is_refused(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog, body: bytes
) -> None:
    headers = {**host.headers, "Content-Type": "application/json"}
    response = await http.post("/v1/chat/completions", content=body, headers=headers)

    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_request")
    assert b"u0000" not in body or response.json()["error"]["param"] == "messages.0"
    assert upstream.calls() == []
