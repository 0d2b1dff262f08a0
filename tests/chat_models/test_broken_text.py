"""Characters that were cut in two, as they come in the bytes of events."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.parsing import ChunkParser, parse_completion

TEXT = "a é€😀 z"


def event(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    return json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}]}).encode()


def raw_event(content: bytes) -> bytes:
    return b'{"choices":[{"index":0,"delta":{"content":"' + content + b'"},"finish_reason":null}]}'


def deltas_of(*events: bytes) -> list[dict[str, Any]]:
    parser = ChunkParser()
    chunks = [*map(parser.parse, events)]
    assert all(orjson.dumps(chunk) for chunk in chunks)
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def text_of(*events: bytes) -> str:
    return "".join(delta.get("content") or "" for delta in deltas_of(*events))


@pytest.mark.parametrize("cut", range(1, len(TEXT.encode())))
def test_bytes_of_a_character_are_joined_wherever_they_are_cut(cut: int) -> None:
    encoded = TEXT.encode()

    assert text_of(raw_event(encoded[:cut]), raw_event(encoded[cut:]), event({}, "stop")) == TEXT


@given(st.binary(max_size=12), st.binary(max_size=12), st.binary(max_size=12))
def test_any_bytes_give_text(first: bytes, second: bytes, third: bytes) -> None:
    pieces = [piece.translate(None, bytes(range(32)) + b'\\"') for piece in (first, second, third)]

    text = text_of(*map(raw_event, pieces), event({}, "stop"))

    whole = b"".join(pieces)
    try:
        assert text == whole.decode()
    except UnicodeDecodeError:
        assert "\ufffd" in text


@pytest.mark.parametrize("name", ["content", "reasoning_content", "refusal", "odd"])
def test_halves_of_a_pair_are_joined_in_every_text(name: str) -> None:
    deltas = deltas_of(event({name: "ok \ud83d"}), event({name: ""}), event({name: "\ude00 done"}), event({}, "stop"))

    assert [delta.get(name) for delta in deltas] == ["ok ", "", "😀 done", None]


def test_halves_of_a_pair_are_joined_in_the_arguments_of_each_call() -> None:
    def piece(index: int, arguments: str) -> dict[str, Any]:
        return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}

    deltas = deltas_of(
        event(piece(0, "a\ud83d")), event(piece(1, "b\ud83d")), event(piece(1, "\ude01")), event(piece(0, "\ude00"))
    )

    arguments = [delta["tool_calls"][0]["function"]["arguments"] for delta in deltas]
    assert arguments == ["a", "b", "😁", "😀"]


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([event({"content": "a\ud83d"}), event({"content": "b"})], "a\ufffdb"),
        ([event({"content": "a\ude00b"})], "a\ufffdb"),
        ([event({"content": "a\ud83d"}), event({}, "stop")], "a\ufffd"),
        ([event({"content": "a\ud83d"}, "stop")], "a\ufffd"),
        ([event({"content": "a\ud83d\ud83d"}), event({"content": "\ude00"})], "a\ufffd😀"),
        ([raw_event(b"a\xf0\x9f"), event({"content": "b"}), event({}, "stop")], "a\ufffdb"),
        ([raw_event(b"a\xffb")], "a\ufffdb"),
    ],
)
def test_what_stays_broken_is_replaced(events: list[bytes], text: str) -> None:
    assert text_of(*events) == text


def test_a_whole_completion_is_repaired() -> None:
    body = b'{"choices":[{"message":{"content":"a\\ud83d\\ude00 \\ud83d \xff","\\ud800":[NaN]}}]}'

    completion = parse_completion(body)

    delta = {"content": "a😀 \ufffd \ufffd", "\ufffd": [None]}
    assert completion == {"choices": [{"delta": delta, "finish_reason": "stop"}]}
