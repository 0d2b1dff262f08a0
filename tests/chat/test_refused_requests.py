"""Requests that are refused for a parameter, a message or the whole body, before any model is asked."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import ask, user
from tests.chat.openai.grammar import check_error
from tests.chat.tools import WEATHER
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


def called(function: Any) -> dict[str, Any]:
    """A message with a call of this function."""
    return {"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": function}]}


def allowed(*names: str) -> dict[str, Any]:
    """A choice among these tools."""
    tools = [{"type": "function", "function": {"name": name}} for name in names]
    return {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}}


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


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
        ({"stop": [7]}, "stop"),
        ({"stop": {"a": 7}}, "stop"),
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
    assert error["param"] == param
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
