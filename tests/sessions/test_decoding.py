"""How much of stored messages is read at once."""

import uuid
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from app.core.json_limits import MOST_VALUES
from app.sessions.messages import ListedMessage, StoredMessage
from app.sessions.reading import read_history, read_page

SMALL = ["words", None, [{"type": "text", "text": "a, [b]"}]]
HUGE: Any = [[]] * 2 * MOST_VALUES


def stored(content: Any, calls: Any = None) -> StoredMessage:
    """A message as it is read from its row: what is JSON is text."""
    values: dict[str, Any] = {
        name: None if value is None else orjson.dumps(value).decode()
        for name, value in (("content", content), ("tool_calls", calls))
    }
    return StoredMessage(id=1, turn_id="t", agent=None, role="user", tool_call_id=None, name=None, **values)


def listed(content: Any) -> ListedMessage:
    return ListedMessage(
        id=1,
        session_id=uuid.uuid4(),
        role="user",
        content=orjson.dumps(content).decode(),
        agent=None,
        tool_calls=None,
        tool_call_id=None,
        created_at=datetime.now(UTC),
        is_superseded=False,
        is_shown=True,
    )


async def contents_of(*contents: Any) -> list[Any]:
    return [message.content for message in await read_history([stored(content) for content in contents])]


async def test_everything_is_read_in_order() -> None:
    assert await contents_of(*SMALL) == SMALL


async def test_tool_calls_are_read_as_well() -> None:
    calls = [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]

    (read,) = await read_history([stored(None, calls)])

    assert (read.content, read.tool_calls) == (None, calls)


@pytest.mark.parametrize(
    ("contents", "kept"),
    [([*SMALL, HUGE], [HUGE]), ([HUGE, *SMALL], SMALL), ([*SMALL, HUGE, "x"], ["x"]), ([], []), (SMALL, SMALL)],
    ids=["newest", "oldest", "between", "nothing", "little"],
)
async def test_the_oldest_are_left_out_if_there_is_too_much(contents: list[Any], kept: list[Any]) -> None:
    assert await contents_of(*contents) == kept


async def test_the_first_of_a_page_is_shown_and_the_last_are_not() -> None:
    page = await read_page([listed(content) for content in (HUGE, "words", "more")])

    assert [message.is_shown for message in page] == [True, False, False]
    assert [message.content for message in page] == [HUGE, None, None]
