"""Reads the JSON of stored messages piece by piece: a conversation has megabytes, and others wait meanwhile."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, takewhile
from typing import Any

from app.core.json import read_json
from app.core.json_limits import MOST_VALUES
from app.sessions.messages import StoredMessage

# Twice as many as one request may have, counted as there but inside of strings as well.
_MOST_VALUES = 2 * MOST_VALUES
_JSON = ("content", "tool_calls", "additions")
# How much JSON is read before others get their turn.
_AT_ONCE = 256 * 1024


async def read_in_turns(messages: Sequence[StoredMessage]) -> list[StoredMessage]:
    """The messages with the values of what is JSON in them, which are texts.

    The oldest are left out if all of them together have very many values.
    """
    counts = accumulate(_values(message) for message in reversed(messages))
    kept = len(list(takewhile(lambda values: values <= _MOST_VALUES, counts)))
    read: list[StoredMessage] = []
    unread = 0
    for message in messages[len(messages) - kept :]:
        unread += sum(len(text) for text in _texts(message))
        if unread > _AT_ONCE:
            await asyncio.sleep(0)
            unread = 0
        values = {name: _value(getattr(message, name)) for name in _JSON}
        read.append(replace(message, **values))
    return read


def _values(message: StoredMessage) -> int:
    return sum(1 + text.count(",") + text.count("[") + text.count("{") for text in _texts(message))


def _texts(message: StoredMessage) -> Iterator[str]:
    return (text for name in _JSON if isinstance(text := getattr(message, name), str))


def _value(text: Any) -> Any:
    return None if text is None else read_json(text)
