"""The short way for chunks of text must never find another text than reading all of them."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.text_chunks import TextPattern, only_text_of

CHUNK: dict[str, Any] = {"id": "c-1", "model": "m", "choices": [{"index": 0, "delta": {"content": ""}}]}


def event(text: Any, *, ascii_only: bool = False, **others: Any) -> bytes:
    """A chunk with this content, as servers write it: with blanks and escapes, or without."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    chunk = {**CHUNK, "choices": [choice], **others}
    return json.dumps(chunk).encode() if ascii_only else orjson.dumps(chunk)


def learned(data: bytes) -> TextPattern:
    pattern = TextPattern()
    text = only_text_of(orjson.loads(data))
    assert text is not None
    pattern.learn(data, text)
    return pattern


@pytest.mark.parametrize("text", ["word", " a b", 'a "quoted" \\ one\n', "äöü €", "\u2028"])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_text_of_the_next_chunk_is_found(text: str, *, ascii_only: bool) -> None:
    pattern = learned(event("first", ascii_only=ascii_only))

    assert pattern.text_of(event(text, ascii_only=ascii_only)) == text


@pytest.mark.parametrize(
    "other",
    [
        event(""),
        event(None),
        event(7),
        event("word", id="c-2"),
        event("word", usage={"prompt_tokens": 1, "completion_tokens": 1}),
        event("word", error={"message": "overloaded"}),
        event("word").replace(b"null", b'"stop"'),
        event("word").replace(b'"word"', b'"word","refusal":"no"'),
        event("word").replace(b'"word"', b'"word'),
        event("word").replace(b'"word"', b'"\\ud83d"'),
        event("word")[:-1],
        b"[DONE]",
    ],
)
def test_a_chunk_that_differs_in_more_than_its_text_is_left_to_be_read(other: bytes) -> None:
    assert learned(event("first")).text_of(other) is None


@pytest.mark.parametrize("text", ["content", "c-1", "m", "probe"])
def test_a_text_that_stands_elsewhere_in_the_chunk_is_not_taken_for_its_place(text: str) -> None:
    first = event(text)
    pattern = TextPattern()

    pattern.learn(first, text)

    assert pattern.text_of(event("word")) in {None, "word"}
    assert pattern.text_of(first.replace(b'"c-1"', b'"other"')) is None


def test_what_is_never_the_same_is_not_learned_for_ever() -> None:
    pattern = TextPattern()
    for number in range(100):
        pattern.learn(event("word", id=f"c-{number}"), "word")

    assert pattern.text_of(event("word", id="c-99")) is None


_JSON_STRINGS = st.text() | st.sampled_from(["content", "delta", "index", "c-1", "id", "choices", '"', "\\", "a,b"])


@given(_JSON_STRINGS, _JSON_STRINGS, st.booleans())
def test_it_finds_what_reading_finds(first: str, second: str, ascii_only: bool) -> None:
    try:
        one, other = (event(text, ascii_only=ascii_only) for text in (first, second))
        if only_text_of(orjson.loads(one)) is None:
            return
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return

    assert learned(one).text_of(other) in {None, only_text_of(orjson.loads(other))}
