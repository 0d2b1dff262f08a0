"""What a client sends is kept as it is: only what the server uses itself is checked."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.chat.openai.request import ChatRequest

QUESTION = {"role": "user", "content": "words"}
TOOL = {"type": "function", "function": {"name": "look"}}


def calling(call: dict[str, Any]) -> dict[str, Any]:
    result = {"role": "tool", "tool_call_id": "a", "content": "seen"}
    return {"messages": [{"role": "assistant", "tool_calls": [call]}, result]}


def test_messages_and_tools_are_passed_on_as_they_were_sent() -> None:
    body = {
        "messages": [{**QUESTION, "extra": {"deep": [1, None]}}],
        "tools": [{**TOOL, "strict": True, "function": {"name": "look", "parameters": {"type": "object"}}}],
    }

    request = ChatRequest.model_validate(body)

    assert (request.messages, request.tools) == (body["messages"], body["tools"])


@pytest.mark.parametrize("number", [2**64, str(2**64), 10**400])
def test_a_number_that_cannot_be_stored_is_refused(number: int | str) -> None:
    with pytest.raises(ValidationError, match="holds"):
        ChatRequest.model_validate({"messages": [QUESTION], "seed": number})


@pytest.mark.parametrize(
    "call", [{"type": "function"}, {"function": "look"}, {"function": {}}, {"function": {"name": 5}}]
)
def test_a_call_without_its_function_is_refused(call: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"function"):
        ChatRequest.model_validate(calling({"id": "a", **call}))


def test_a_call_of_another_type_has_no_function() -> None:
    ChatRequest.model_validate(calling({"id": "a", "type": "custom", "custom": {"name": "look", "input": "up"}}))
