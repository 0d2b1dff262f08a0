"""Which messages a request may have: the form and its schema in `/openapi.json` say the same."""

from typing import Any

import jsonschema_rs
import pytest
from pydantic import ValidationError

from app.chat.openai.request import ChatRequest
from app.sessions.messages import MessageRole

CALL = {"id": "a", "type": "function", "function": {"name": "look", "arguments": "{}"}}
CALLED = {"role": "assistant", "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "a", "content": "seen"}
OTHERS = [role.value for role in MessageRole if role != MessageRole.ASSISTANT]


@pytest.fixture(scope="module")
def schema() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(ChatRequest.model_json_schema())


def of(role: str, **fields: Any) -> dict[str, Any]:
    return {"role": role, "content": "words", **({"tool_call_id": "a"} if role == "tool" else {}), **fields}


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
