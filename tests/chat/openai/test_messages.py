"""Which messages a request may have: the form and its schema in `/openapi.json` say the same."""

import base64
from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from app.chat.openai.request import AgentRequest, ChatRequest
from app.sessions.messages import MessageRole

CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLED = {"role": "assistant", "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "a", "content": "seen"}
# A header with 16,000 samples a second.
WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80\x3e\0\0\0\x7d\0\0\2\0\x10\0data"
OTHERS = [role.value for role in MessageRole if role != MessageRole.ASSISTANT]


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(ChatRequest.model_json_schema())


def of(role: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": "words", **({"tool_call_id": "a"} if role == "tool" else {}), **fields}


def is_accepted(form: type[ChatRequest], body: dict[str, Any]) -> bool:
    try:
        form.model_validate(body)
    except ValidationError:
        return False
    return True


@pytest.mark.parametrize("role", OTHERS)
def test_only_messages_of_the_assistant_have_calls(schema: jsonschema_rs.Draft202012Validator, role: str) -> None:
    body = {"messages": [CALLED, of(role, tool_calls=[CALL])]}

    with pytest.raises(ValidationError, match=f"a message of role {role} has no tool_calls") as refused:
        ChatRequest.model_validate(body)

    assert refused.value.errors()[0]["loc"] == ("messages", 1, "tool_calls")
    assert not schema.is_valid(body)


@pytest.mark.parametrize("none", [None, []], ids=["null", "empty"])
@pytest.mark.parametrize("role", [*OTHERS, "assistant"])
def test_a_message_may_say_that_it_has_no_calls(
    schema: jsonschema_rs.Draft202012Validator, role: str, none: list[Any] | None
) -> None:
    body = {"messages": [CALLED, of(role, tool_calls=none)]}

    ChatRequest.model_validate(body)

    schema.validate(body)


@pytest.mark.parametrize(
    ("call", "is_whole"),
    [
        (CALL, True),
        ({"id": "a", "function": CALL["function"]}, True),
        ({"id": "a", "type": "custom", "custom": {"name": "look", "input": "up"}}, True),
        ({"id": "a", "type": "custom", "function": None}, True),
        ({"id": "a"}, False),
        ({"id": "a", "type": "function", "function": None}, False),
    ],
    ids=["function", "no-type", "custom", "custom-null", "nothing", "function-null"],
)
def test_a_call_of_a_function_has_one(
    schema: jsonschema_rs.Draft202012Validator, call: dict[str, Any], is_whole: bool
) -> None:
    body = {"messages": [{"role": "assistant", "tool_calls": [call]}]}

    assert (is_accepted(ChatRequest, body), schema.is_valid(body)) == (is_whole, is_whole)


@pytest.mark.parametrize(
    ("data", "format_", "is_known"),
    [
        (base64.b64encode(b"ID3 and so on").decode(), "mp3", True),
        (base64.b64encode(b"\xff\xfb and so on").decode(), "mp3", True),
        (base64.b64encode(b"\xff\xe2 and so on").decode(), "mp3", True),
        (base64.b64encode(b"\xff\xd8 and so on").decode(), "mp3", False),
        (base64.b64encode(b"RIFF").decode(), "mp3", False),
        ("SUQz\n", "mp3", False),
        ("SUQzA", "mp3", False),
        (base64.b64encode(WAV).decode(), "wav", True),
        (base64.b64encode(b"ID3 and so on").decode(), "wav", False),
        (base64.b64encode(WAV).decode(), "ogg", False),
    ],
    ids=["tag", "frame", "other-frame", "jpeg", "wav-as-mp3", "line", "cut", "wav", "mp3-as-wav", "ogg"],
)
def test_sound_begins_like_its_format(
    schema: jsonschema_rs.Draft202012Validator, data: str, format_: str, is_known: bool
) -> None:
    part = {"type": "input_audio", "input_audio": {"data": data, "format": format_}}
    body = {"messages": [{"role": "user", "content": [part]}]}

    assert (is_accepted(ChatRequest, body), schema.is_valid(body)) == (is_known, is_known)


@pytest.mark.parametrize(
    ("data", "is_file"),
    [
        ("data:application/pdf;base64,JVBERi0=", True),
        ("data:text/plain;charset=utf-8;base64,YQ==", True),
        ("data:a,b/c;base64,YQ==", False),
        ("data:pdf;base64,YQ==", False),
        ("data:application/pdf;base64,", False),
    ],
    ids=["pdf", "charset", "comma", "no-type", "empty"],
)
def test_a_file_names_its_type(schema: jsonschema_rs.Draft202012Validator, data: str, is_file: bool) -> None:
    body = {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_data": data}}]}]}

    assert (is_accepted(ChatRequest, body), schema.is_valid(body)) == (is_file, is_file)


@pytest.mark.parametrize(
    ("body", "is_one"),
    [
        ({"prompt": "words"}, True),
        ({"messages": [of("user")]}, True),
        ({"messages": [of("user")], "prompt": None}, True),
        ({"messages": [of("user")], "prompt": "words"}, False),
        ({"prompt": None}, False),
        ({"prompt": 7}, False),
        ({}, False),
    ],
    ids=["prompt", "messages", "null", "both", "only-null", "number", "neither"],
)
def test_a_request_to_an_agent_has_messages_or_a_prompt(body: dict[str, Any], is_one: bool) -> None:
    described = jsonschema_rs.Draft202012Validator(AgentRequest.model_json_schema())

    assert (is_accepted(AgentRequest, body), described.is_valid(body)) == (is_one, is_one)
