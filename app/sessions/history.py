"""Which part of a conversation goes to the model: pure functions over messages in wire form."""

from collections.abc import Sequence
from itertools import accumulate, takewhile

import orjson

from app.sessions.service import WireMessage

# Text is about four bytes of UTF-8 to a token.
_BYTES_PER_TOKEN = 4
_NO_RESULT = "No result was given for this call."


def with_recent(
    history: Sequence[WireMessage], messages: Sequence[WireMessage], token_budget: int
) -> list[WireMessage]:
    """The new messages, behind the newest of the history that fit the budget, oldest first.

    A tool call is never parted from its results: a call that the new messages answer is kept whatever its size, and
    results whose call is no longer in the history are left out.
    """
    groups = [group for group in _groups(history) if group[0]["role"] != "tool"]
    answered = groups.pop() if groups and messages[0]["role"] == "tool" else []
    limit = token_budget * _BYTES_PER_TOKEN - _size(answered)
    newest_first = groups[::-1]
    sizes = accumulate(_size(group) for group in newest_first)
    kept = [group for group, _ in takewhile(lambda pair: pair[1] <= limit, zip(newest_first, sizes, strict=True))]
    return [*(message for group in reversed(kept) for message in group), *answered, *messages]


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


def _size(group: Sequence[WireMessage]) -> int:
    return sum(len(orjson.dumps(message)) for message in group)
