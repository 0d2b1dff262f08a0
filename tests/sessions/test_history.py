"""Which part of a conversation the model sees: pure functions, tested with any conversation."""

import re
from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.errors import InvalidRequestError
from app.sessions.history import with_all_results, with_recent
from app.sessions.messages import WireMessage

QUESTION = [{"role": "user", "content": "And now?"}]
NO_LIMIT = 1_000_000


def text(role: str, content: str) -> dict[str, Any]:
    return {"role": role, "content": content}


def calling(*ids: str) -> dict[str, Any]:
    calls = [{"id": name, "type": "function", "function": {"name": "f", "arguments": "{}"}} for name in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(name: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "content": "done"}


@st.composite
def conversations(draw: st.DrawFn, *, is_answered: bool = True) -> list[dict[str, Any]]:
    """Texts, and tool calls with their results. Unless `is_answered`, some of the results are missing."""
    messages: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 6))):
        messages.append(text("user", draw(st.text(max_size=30))))
        ids = [f"{number}.{index}" for index in range(draw(st.integers(0, 3)))]
        if ids:
            answered = ids if is_answered else draw(st.lists(st.sampled_from(ids), unique=True))
            messages += [calling(*ids), *(result(name) for name in answered)]
        messages.append(text("assistant", draw(st.text(max_size=30))))
    return messages


def renamed(messages: Sequence[WireMessage]) -> list[dict[str, Any]]:
    """The same messages with other call ids."""
    later: list[dict[str, Any]] = orjson.loads(re.sub(rb'"(\d)\.(\d)"', rb'"later-\1.\2"', orjson.dumps(messages)))
    return later


def size(messages: Sequence[WireMessage]) -> int:
    return sum(len(orjson.dumps(message)) for message in messages)


def is_accepted(messages: Sequence[WireMessage]) -> bool:
    """Whether a model accepts the conversation: each call is followed directly by all its results and no others."""
    open_calls: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                return False
            open_calls.remove(message["tool_call_id"])
        elif open_calls:
            return False
        else:
            open_calls = {call["id"] for call in message.get("tool_calls", ())}
    return not open_calls


@given(history=conversations(), budget=st.integers(0, 300))
def test_as_much_of_the_newest_as_fits_is_kept(history: list[WireMessage], budget: int) -> None:
    *kept, last = with_recent(history, QUESTION, budget)

    assert last == QUESTION[0]
    assert kept == history[len(history) - len(kept) :]
    assert size(kept) <= budget * 4
    # One more message, with the results that follow it, would have been too much.
    left_out = history[: len(history) - len(kept)]
    while left_out and left_out[-1]["role"] == "tool":
        kept.insert(0, left_out.pop())
    assert not left_out or size([left_out[-1], *kept]) > budget * 4


@given(history=conversations(), budget=st.integers(0, 300), lost=st.integers(0, 30))
def test_calls_and_results_are_never_separated(history: list[WireMessage], budget: int, lost: int) -> None:
    # The server remembers only so many messages: the oldest may be the results of a call that it has forgotten.
    assert is_accepted(with_recent(history[lost:], QUESTION, budget))


@given(history=conversations(), budget=st.integers(0, 300))
def test_a_call_that_the_new_messages_answer_is_kept(history: list[WireMessage], budget: int) -> None:
    messages = with_recent([*history, calling("a", "b"), result("a")], [result("b")], budget)

    assert messages[-3:] == [calling("a", "b"), result("a"), result("b")]
    assert is_accepted(messages)


@given(history=conversations(), budget=st.integers(0, 300), behind=conversations())
def test_a_result_is_moved_to_directly_after_its_call(
    history: list[WireMessage], budget: int, behind: list[WireMessage]
) -> None:
    """The call comes before the messages `behind`, and its result after other new messages."""
    kept = with_recent([*history, calling("a"), *renamed(behind)], [*QUESTION, result("a"), *QUESTION], budget)

    index = kept.index(calling("a"))
    assert kept[index + 1] == result("a")
    assert kept[-2:] == [*QUESTION, *QUESTION]
    assert is_accepted(kept)


def test_a_result_belongs_to_the_newest_call_with_its_id() -> None:
    history = [text("user", "Hi"), calling("a"), result("a"), text("user", "Again"), calling("a")]

    assert with_recent(history, [result("a")], 0) == [calling("a"), result("a")]
    assert with_recent(history, [result("a")], NO_LIMIT) == [*history, result("a")]


@pytest.mark.parametrize("history", [[], [text("user", "Hi")], [calling("b"), result("b")], [result("a")]])
@pytest.mark.parametrize("before", [[], QUESTION, [calling("c"), result("c")]])
def test_a_result_without_a_call_is_refused_with_its_location(
    history: list[WireMessage], before: list[WireMessage]
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        with_recent(history, [*before, result("a"), calling("a")], NO_LIMIT)

    assert refusal.value.param == f"messages.{len(before)}.tool_call_id"


@given(history=conversations(is_answered=False))
def test_a_call_without_result_is_given_one(history: list[WireMessage]) -> None:
    whole = with_all_results(history)

    assert is_accepted(whole)
    assert [message for message in whole if message in history] == history


@given(history=conversations())
def test_a_complete_history_is_not_changed(history: list[WireMessage]) -> None:
    assert with_all_results(history) == history
    assert with_recent(history, QUESTION, NO_LIMIT) == [*history, *QUESTION]


def test_a_missing_result_is_inserted_after_its_call() -> None:
    whole = with_all_results([text("user", "Hi"), calling("a", "b"), result("b"), text("user", "Well?")])

    assert [message["role"] for message in whole] == ["user", "assistant", "tool", "tool", "user"]
    assert whole[3] == {"role": "tool", "tool_call_id": "a", "content": "No result was given for this call."}


def test_the_data_of_a_part_counts_as_its_tokens_at_most() -> None:
    file = {"type": "file", "file": {"file_data": "data:application/pdf;base64," + "A" * 1_000_000}}
    message = {"role": "user", "content": [{"type": "text", "text": "Read this"}, file]}
    rest = len(orjson.dumps(message)) - len(orjson.dumps(file))
    tokens = 500 + -(-rest // 4)

    assert with_recent([message], QUESTION, tokens, part_tokens={"file": 500}) == [message, *QUESTION]
    assert with_recent([message], QUESTION, tokens - 1, part_tokens={"file": 500}) == QUESTION
    # A short one, such as a picture's address, counts as its bytes.
    assert with_recent([message], QUESTION, 300_000, part_tokens={"file": 1_000_000}) == [message, *QUESTION]


def test_a_token_is_four_bytes() -> None:
    message = text("user", "é" * 20)
    tokens = -(-len(orjson.dumps(message)) // 4)

    assert with_recent([message], QUESTION, tokens) == [message, *QUESTION]
    assert with_recent([message], QUESTION, tokens - 1) == QUESTION


class CountedCall(dict[str, Any]):
    """A tool call that counts how often its id is read."""

    reads = 0

    def __getitem__(self, name: str) -> Any:
        CountedCall.reads += name == "id"
        return super().__getitem__(name)


def test_each_call_of_a_long_history_is_looked_at_once_however_many_late_results_there_are() -> None:
    history = [
        {"role": "assistant", "content": None, "tool_calls": [CountedCall(id=f"{number}.{call}") for call in range(20)]}
        for number in range(100)
    ]
    late = [result(f"{number % 5}.{number % 20}") for number in range(500)]
    CountedCall.reads = 0

    with_recent(history, [*late, *QUESTION], NO_LIMIT)

    assert CountedCall.reads == 100 * 20
