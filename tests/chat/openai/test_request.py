"""What a client sends is refused if it could not be stored and read again as it is."""

from typing import Any

import pytest
from pydantic import ValidationError

from app.chat.openai.request import ChatRequest
from app.core.json import MOST_LEVELS


def nested(levels: int) -> Any:
    """A text in this many lists inside each other."""
    value: Any = "words"
    for _ in range(levels):
        value = [value]
    return value


def request_with(value: Any, field: str) -> dict[str, Any]:
    """A request that holds the value in this field."""
    message = {"role": "user", "content": "words"}
    tool = {"type": "function", "function": {"name": "look"}}
    requests: dict[str, dict[str, Any]] = {
        "message": {"messages": [{**message, "extra": value}]},
        "tools": {"messages": [message], "tools": [{**tool, "extra": value}]},
        "metadata": {"messages": [message], "metadata": {"extra": value}},
        "unknown": {"messages": [message], "unknown": {"extra": value}},
    }
    return requests[field]


@pytest.mark.parametrize("field", ["message", "tools", "metadata", "unknown"])
@pytest.mark.parametrize(
    "value",
    [nested(MOST_LEVELS), nested(1500), nested(100_000), 2**64, 10**400, "\ud800", "a\0", {"\0": 1}],
    ids=[
        "too many levels",
        "1500 levels",
        "100000 levels",
        "65 bits",
        "400 digits",
        "surrogate",
        "NUL",
        "NUL in a key",
    ],
)
def test_what_cannot_be_stored_is_refused(value: Any, field: str) -> None:
    with pytest.raises(ValidationError, match=r"holds|nested too deeply"):
        ChatRequest.model_validate(request_with(value, field))


@pytest.mark.parametrize("field", ["message", "tools", "metadata", "unknown"])
@pytest.mark.parametrize("value", [nested(MOST_LEVELS - 10), 2**64 - 1, -(2**63), 1e308, "\\u0000", "ü\u2028"])
def test_what_can_be_stored_is_accepted(value: Any, field: str) -> None:
    ChatRequest.model_validate(request_with(value, field))
