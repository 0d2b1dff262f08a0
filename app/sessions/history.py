"""Which part of a conversation goes to the model: pure functions over messages in wire form."""

from collections.abc import Sequence
from itertools import accumulate, takewhile

import orjson

from app.sessions.service import WireMessage

# Text is about four bytes of UTF-8 to a token.
_BYTES_PER_TOKEN = 4
_NO_RESULT = "No result was given for this call."


def bounded(history: Sequence[WireMessage], token_budget: int) -> list[WireMessage]:
    """The newest messages that fit the budget, oldest first; a tool call is never parted from its results."""
    newest_first = _groups(history)[::-1]
    sizes = accumulate(sum(len(orjson.dumps(message)) for message in group) for group in newest_first)
    limit = token_budget * _BYTES_PER_TOKEN
    kept = [group for group, _ in takewhile(lambda pair: pair[1] <= limit, zip(newest_first, sizes, strict=True))]
    return [message for group in reversed(kept) for message in group]


def with_all_results(messages: Sequence[WireMessage]) -> list[WireMessage]:
    """The messages, with a word for every tool call whose result never came: models refuse a call without one."""
    complete: list[WireMessage] = []
    for group in _groups(messages):
        complete += group
        answered = {message.get("tool_call_id") for message in group}
        complete += [
            {"role": "tool", "tool_call_id": call["id"], "content": _NO_RESULT}
            for call in group[0].get("tool_calls") or ()
            if call.get("id") not in answered
        ]
    return complete


def _groups(messages: Sequence[WireMessage]) -> list[list[WireMessage]]:
    """The messages, each tool result together with the message before it."""
    groups: list[list[WireMessage]] = []
    for message in messages:
        if message["role"] == "tool" and groups:
            groups[-1].append(message)
        else:
            groups.append([message])
    return groups
