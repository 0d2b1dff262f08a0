"""Checks the bytes of a stream against its grammar: `first delta* (finish usage? | error) [DONE]`."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
import orjson

Json = dict[str, Any]

_DONE = b"[DONE]"
_KEEP_ALIVE = b": keep-alive"
_SHARED = {"id", "object", "created", "model"}
_FINISH_REASONS = {"stop", "length", "tool_calls", "content_filter", "function_call"}


@dataclass(frozen=True)
class Streamed:
    """The parts of a stream that follows the grammar.

    Attributes:
        first: the chunk with the role and the session.
        said: the chunks between the first and the last.
        finish: the chunk that says why the answer ended; None if an error did, or the client left.
        usage: the chunk with the tokens.
        error: the error in the error frame.
        keep_alives: how many comments there were.
    """

    first: Json
    said: list[Json]
    finish: Json | None
    usage: Json | None
    error: Json | None
    keep_alives: int = 0

    @property
    def deltas(self) -> list[Json]:
        return [_choice(chunk)["delta"] for chunk in self.said]

    @property
    def text(self) -> str:
        return "".join(delta.get("content", "") for delta in self.deltas)

    @property
    def calls(self) -> list[Json]:
        """The tool calls, put together from their pieces."""
        calls: list[Json] = []
        for piece in (piece for delta in self.deltas for piece in delta.get("tool_calls", [])):
            if piece["index"] == len(calls):
                whole = {name: value for name, value in piece.items() if name != "index"}
                calls.append({**whole, "function": {**piece["function"]}})
            else:
                calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
        return calls

    @property
    def session_id(self) -> str:
        return str(self.first["session_id"])

    @property
    def finish_reason(self) -> str | None:
        return str(_choice(self.finish)["finish_reason"]) if self.finish else None


def read_stream(response: httpx.Response, raw: bytes, *, wants_usage: bool = False, is_cut: bool = False) -> Streamed:
    """Check a whole stream, or, if `is_cut`, the part that arrived before the client left."""
    _check_headers(response)
    data, keep_alives = _split(raw[: raw.rfind(b"\n\n") + 2] if is_cut else raw)
    assert is_cut or data.pop() == _DONE
    streamed = _take_apart([orjson.loads(event) for event in data], keep_alives)
    assert is_cut or (streamed.finish is None) != (streamed.error is None)
    assert (streamed.usage is not None) == (wants_usage and streamed.finish is not None)
    name = streamed.session_id
    assert response.headers.get("x-session-id", name) in (name, quote(name, safe=""))
    _check_chunks(streamed, {"usage"} if wants_usage else set())
    return streamed


def _check_headers(response: httpx.Response) -> None:
    headers = response.headers
    assert response.status_code == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-cache, no-transform"
    assert headers["x-accel-buffering"] == "no"
    assert headers.get("content-encoding", "identity") == "identity"
    assert {"x-request-id", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} <= headers.keys()


def _split(raw: bytes) -> tuple[list[bytes], int]:
    """The data of each event, and the number of keep-alives. No other lines are allowed."""
    *lines, rest = raw.split(b"\n")
    assert rest == b""
    events = [line for line in lines if line != _KEEP_ALIVE]
    data, blank = events[::2], events[1::2]
    assert set(blank) <= {b""}
    assert len(data) == len(blank)
    assert all(line.startswith(b"data: ") for line in data)
    return [line.removeprefix(b"data: ") for line in data], len(lines) - len(events)


def _take_apart(events: list[Json], keep_alives: int) -> Streamed:
    """Remove from the end what only the end may have. If it is anywhere else, it fails the checks of a delta."""
    error = events.pop()["error"] if "error" in events[-1] else None
    usage = events.pop() if not events[-1]["choices"] else None
    finish = events.pop() if _choice(events[-1])["finish_reason"] else None
    first, *said = events
    return Streamed(first, said, finish, usage, error, keep_alives)


def _check_chunks(streamed: Streamed, on_all: set[str]) -> None:
    shared = {name: streamed.first[name] for name in _SHARED}
    assert shared["object"] == "chat.completion.chunk"
    assert shared["id"].startswith("cmpl-")
    assert isinstance(shared["created"], int)
    _check_chunk(streamed.first, shared, on_all | {"session_id"} | ({"agent_id"} & streamed.first.keys()))
    assert _choice(streamed.first) == _no_end({"role": "assistant", "content": ""})
    for chunk, delta in zip(streamed.said, streamed.deltas, strict=True):
        _check_chunk(chunk, shared, on_all)
        assert _choice(chunk) == _no_end(delta, _choice(chunk)["logprobs"])
    _check_deltas(streamed.deltas)
    if streamed.finish:
        _check_chunk(streamed.finish, shared, on_all | ({"generated_content"} & streamed.finish.keys()))
        assert _choice(streamed.finish) == _no_end({}) | {"finish_reason": streamed.finish_reason}
        assert streamed.finish_reason in _FINISH_REASONS
    if streamed.usage:
        _check_usage(streamed.usage, shared)
    if streamed.error:
        check_error(streamed.error)


def check_error(error: Json) -> None:
    """Check the error in an error frame or in the body of a refusal."""
    assert isinstance(error, dict)
    assert {"message", "type", "code"} <= error.keys() <= {"message", "type", "code", "param"}
    assert all(isinstance(value, str) and value for value in error.values())


def _choice(chunk: Json) -> Json:
    (choice,) = chunk["choices"]
    assert isinstance(choice, dict)
    return choice


def _no_end(delta: Json, logprobs: Json | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": None}


def _check_chunk(chunk: Json, shared: Json, further: set[str]) -> None:
    assert chunk.keys() == _SHARED | {"choices"} | further
    assert {name: chunk[name] for name in _SHARED} == shared
    assert chunk.get("usage") is None


def _check_usage(chunk: Json, shared: Json) -> None:
    assert chunk.keys() == _SHARED | {"choices", "usage"}
    assert {name: chunk[name] for name in _SHARED} == shared
    usage = chunk["usage"]
    counts = {name: value for name, value in usage.items() if not name.endswith("_details")}
    assert counts.keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert min(counts.values()) >= 0
    assert all(isinstance(value, dict) for name, value in usage.items() if name not in counts)


def _check_deltas(deltas: list[Json]) -> None:
    """No delta is empty. A tool call begins with its id and name; its arguments follow under the same index.

    What a model has added to the message comes last, what it has added to a call with the call's first piece.
    """
    calls = 0
    for delta in deltas:
        assert delta
        assert delta.keys() <= {"content", "refusal", "tool_calls"} or (delta is deltas[-1] and calls)
        assert all(delta.values())
        for piece in delta.get("tool_calls", []):
            if piece["index"] == calls:
                calls += 1
                assert piece.keys() >= {"index", "id", "type", "function"}
                assert (piece["type"], bool(piece["id"])) == ("function", True)
                assert piece["function"].keys() == {"name", "arguments"}
                assert piece["function"]["name"]
            else:
                assert 0 <= piece["index"] < calls
                assert piece.keys() == {"index", "function"}
                assert piece["function"].keys() == {"arguments"}
