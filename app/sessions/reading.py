"""Reads the JSON of stored messages piece by piece: a conversation has megabytes, and others wait meanwhile."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, takewhile
from typing import Any

from app.core.concurrency import in_slices
from app.core.json import read_json
from app.core.json_limits import MOST_VALUES
from app.sessions.messages import ListedMessage, StoredMessage

# Twice as many as one request may have, counted as there but inside of strings as well.
_MOST_VALUES = 2 * MOST_VALUES


async def read_history(messages: Sequence[StoredMessage]) -> list[StoredMessage]:
    """The messages with the values of what is JSON in them, which are texts.

    The oldest are left out if all of them together have very many values; the newest never is.
    """
    return await in_slices(_history_values, messages[-_fitting(reversed(messages)) :])


async def read_page(messages: Sequence[ListedMessage]) -> list[ListedMessage]:
    """The messages with their values, as `read_history`. The last are not shown if there are very many values.

    The first one always is.
    """
    shown = _fitting(messages)
    hidden = [replace(each, content=None, tool_calls=None, is_shown=False) for each in messages[shown:]]
    return [*await in_slices(_page_values, messages[:shown]), *hidden]


def _fitting(messages: Iterable[StoredMessage | ListedMessage]) -> int:
    """How many of the first messages have no more values than may be read at once; one at least."""
    counts = accumulate(_values(message) for message in messages)
    return max(1, len(list(takewhile(lambda values: values <= _MOST_VALUES, counts))))


def _history_values(message: StoredMessage) -> StoredMessage:
    return message._replace(
        content=_value(message.content),
        tool_calls=_value(message.tool_calls),
        additions=_value(message.additions),
    )


def _page_values(message: ListedMessage) -> ListedMessage:
    return replace(message, content=_value(message.content), tool_calls=_value(message.tool_calls))


def _values(message: StoredMessage | ListedMessage) -> int:
    return sum(1 + text.count(",") + text.count("[") + text.count("{") for text in _texts(message))


def _texts(message: StoredMessage | ListedMessage) -> Iterator[str]:
    further = message.additions if isinstance(message, StoredMessage) else None
    return (text for text in (message.content, message.tool_calls, further) if isinstance(text, str))


def _value(text: Any) -> Any:
    return None if text is None else read_json(text)
