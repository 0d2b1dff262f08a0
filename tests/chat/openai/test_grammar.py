"""The check of streams accepts what follows the grammar and refuses everything else."""

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import pytest

from tests.chat.openai.grammar import read_stream

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache, no-transform",
    "X-Accel-Buffering": "no",
    "X-Request-ID": "1",
    "X-Session-ID": "sess-1",
    **dict.fromkeys(("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"), "1"),
}
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any], finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    envelope = {"id": "cmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return {**envelope, **fields}


FIRST = chunk({"role": "assistant", "content": ""}, session_id="sess-1")
WORD, FINISH = chunk({"content": "Hi"}), chunk({}, "stop")
ERROR = {"error": {"message": "Broken", "type": "provider_error", "code": "provider_error"}}
OPENING = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
PIECE = {"index": 0, "function": {"arguments": "{}"}}


def stream_of(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(event) + b"\n\n" for event in events)


WHOLE = stream_of(FIRST, WORD, FINISH) + DONE


def read(raw: bytes, headers: dict[str, str] | None = None, **options: bool) -> Any:
    return read_stream(httpx.Response(200, headers={**HEADERS, **(headers or {})}), raw, **options)


@pytest.mark.parametrize(
    "raw",
    [
        WHOLE,
        stream_of(FIRST, ERROR) + DONE,
        stream_of(FIRST, chunk({"tool_calls": [OPENING]}), chunk({"tool_calls": [PIECE]}), FINISH) + DONE,
        stream_of(FIRST) + b": keep-alive\n" + stream_of(WORD) + b": keep-alive\n" * 2 + stream_of(FINISH) + DONE,
    ],
)
def test_a_stream_that_follows_the_grammar_is_accepted(raw: bytes) -> None:
    assert read(raw).session_id == "sess-1"


@pytest.mark.parametrize(
    "raw",
    [
        # how it ends
        stream_of(FIRST, WORD, FINISH),
        stream_of(FIRST, WORD) + DONE,
        WHOLE + DONE,
        WHOLE + stream_of(WORD),
        stream_of(FIRST, WORD, FINISH, ERROR) + DONE,
        stream_of(FIRST, ERROR, WORD) + DONE,
        stream_of(FIRST, FINISH, WORD) + DONE,
        stream_of(FIRST, FINISH, FINISH) + DONE,
        # how it begins
        DONE,
        stream_of(ERROR) + DONE,
        stream_of(WORD, FINISH) + DONE,
        stream_of(FIRST, FIRST, FINISH) + DONE,
        # what a chunk may hold
        stream_of(FIRST, {**WORD, "id": "cmpl-2"}, FINISH) + DONE,
        stream_of(FIRST, {**WORD, "surprise": 1}, FINISH) + DONE,
        stream_of(FIRST, {**WORD, "usage": None}, FINISH) + DONE,
        stream_of(FIRST, chunk({}), FINISH) + DONE,
        stream_of(FIRST, chunk({"content": ""}), FINISH) + DONE,
        stream_of(FIRST, chunk({"thoughts": "Hm"}), FINISH) + DONE,
        stream_of(FIRST, chunk({}, "eos_token")) + DONE,
        stream_of(FIRST, chunk({"content": "Hi"}, "stop")) + DONE,
        stream_of(FIRST, {"error": "Broken"}) + DONE,
        # tool calls
        stream_of(FIRST, chunk({"tool_calls": [PIECE]}), FINISH) + DONE,
        stream_of(FIRST, chunk({"tool_calls": [{**OPENING, "index": 1}]}), FINISH) + DONE,
        stream_of(FIRST, chunk({"tool_calls": [OPENING, OPENING]}), FINISH) + DONE,
        # lines
        b": ping\n" + WHOLE,
        b": keep-alive\n\n" + WHOLE,
        b"id: 1\n" + WHOLE,
        b"event: ping\n\n" + WHOLE,
        b"retry: 10\n" + WHOLE,
        WHOLE.replace(b"\n\n", b"\n"),
        WHOLE.replace(b"data: ", b"data:"),
        WHOLE[:-1],
    ],
)
def test_any_other_stream_is_refused(raw: bytes) -> None:
    with pytest.raises((AssertionError, KeyError, ValueError, IndexError, TypeError)):
        read(raw)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/json"},
        {"Cache-Control": "no-cache"},
        {"X-Accel-Buffering": "yes"},
        {"Content-Encoding": "br"},
        {"X-Session-ID": "sess-2"},
    ],
)
def test_a_stream_with_wrong_headers_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        read(WHOLE, headers)


def test_usage_is_in_the_stream_if_and_only_if_it_was_requested() -> None:
    tokens = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    asked = [{**event, "usage": None} for event in (FIRST, WORD, FINISH)]
    usage = {**chunk({}, usage=tokens), "choices": []}

    assert read(stream_of(*asked, usage) + DONE, wants_usage=True).usage["usage"] == tokens
    wrong = {**usage, "usage": {**tokens, "total_tokens": 4}}
    refused: list[Callable[[], Any]] = [
        lambda: read(stream_of(*asked, usage) + DONE),
        lambda: read(stream_of(*asked) + DONE, wants_usage=True),
        lambda: read(stream_of(FIRST, WORD, FINISH, usage) + DONE, wants_usage=True),
        lambda: read(stream_of(*asked, usage, usage) + DONE, wants_usage=True),
        lambda: read(stream_of(*asked, wrong) + DONE, wants_usage=True),
    ]
    for reading in refused:
        with pytest.raises((AssertionError, ValueError)):
            reading()


def test_the_part_that_a_client_read_before_it_left_is_checked_too() -> None:
    assert read(stream_of(FIRST, WORD) + b'data: {"id"', is_cut=True).text == "Hi"
    with pytest.raises(AssertionError):
        read(b"id: 1\n" + stream_of(FIRST, WORD), is_cut=True)
