"""Checks the bytes of a response's stream: its frames, its order, and that its pieces make up what it ends with."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import httpx
import jsonschema_rs
import orjson

Json = dict[str, Any]

_SPECIFICATION: Json = orjson.loads(files("llm_comply.specs").joinpath("openresponses.json").read_bytes())
# The schemas of events, by the types of these.
_EVENTS = {
    kind: name
    for name, schema in _SPECIFICATION["components"]["schemas"].items()
    if name.endswith("StreamingEvent")
    for kind in schema["properties"]["type"]["enum"]
}
_LAST = ("response.completed", "response.incomplete", "response.failed")
_KEEP_ALIVE = b": keep-alive"


@dataclass(frozen=True)
class Streamed:
    """A stream that follows the grammar: its events, the response that it ends with, and how many comments it has."""

    events: list[Json]
    response: Json
    keep_alives: int

    @property
    def types(self) -> list[str]:
        return [event["type"] for event in self.events]

    @property
    def error(self) -> Json | None:
        return next((event for event in self.events if event["type"] == "error"), None)

    def deltas(self, kind: str) -> list[str]:
        """What the deltas of one kind say."""
        return [event["delta"] for event in self.events if event["type"] == f"response.{kind}.delta"]

    @property
    def text(self) -> str:
        return "".join(self.deltas("output_text"))


def read_stream(response: httpx.Response, raw: bytes) -> Streamed:
    """Check a whole stream."""
    assert response.status_code == 200, raw
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    events, keep_alives = _split(raw)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    types = [event["type"] for event in events]
    states = ["queued", "in_progress"] if events[0]["response"]["background"] else ["in_progress"]
    assert types[: len(states) + 1] == ["response.created", *(f"response.{state}" for state in states)]
    assert [kind for kind in types if kind in _LAST] == types[-1:]
    assert ("error" in types) == (types[-1] == "response.failed")
    for event in events:
        _check_event(event)
    last = events[-1]["response"]
    check_response(last)
    if last["status"] not in {"failed", "cancelled"}:
        for said, whole in zip(_assembled(events), last["output"], strict=True):
            assert _without_later_thoughts(whole, said) == said
    return Streamed(events, last, keep_alives)


def check_response(response: Json) -> None:
    """Check a response against the specification."""
    _validator_of("ResponseResource").validate(_without_schema(response))
    ids = [item["id"] for item in response["output"]]
    assert len(ids) == len(set(ids))


def _without_schema(shown: Json) -> Json:
    """Without the schema of the wanted answer: the specification knows of none but null, OpenAI shows it."""
    if "response" in shown:
        return {**shown, "response": _without_schema(shown["response"])}
    text = shown.get("text")
    if not isinstance(text, dict) or "schema" not in text["format"]:
        return shown
    return {**shown, "text": {**text, "format": {**text["format"], "schema": None}}}


@cache
def _validator_of(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", **_SPECIFICATION})


def _split(raw: bytes) -> tuple[list[Json], int]:
    """The data of each event, and the number of keep-alives. No other lines are allowed."""
    *lines, rest = raw.split(b"\n")
    assert rest == b""
    kept = [line for line in lines if line != _KEEP_ALIVE]
    names, data, blank = kept[::3], kept[1::3], kept[2::3]
    assert set(blank) == {b""}
    assert len(names) == len(data) == len(blank)
    assert all(line.startswith(b"event: ") for line in names)
    assert all(line.startswith(b"data: ") for line in data)
    events = [orjson.loads(line.removeprefix(b"data: ")) for line in data]
    assert [line.removeprefix(b"event: ").decode() for line in names] == [event["type"] for event in events]
    return events, len(lines) - len(kept)


def _check_event(event: Json) -> None:
    name = _EVENTS.get(event["type"])
    if name is not None:
        _validator_of(name).validate(_without_schema(event))
    if event["type"].startswith("response.output_text"):
        assert isinstance(event["logprobs"], list)


def _assembled(events: list[Json]) -> list[Json]:
    """The items that the events make up, each of which is begun once, grows, and ends as what it has grown to."""
    items: dict[int, Json] = {}
    texts: defaultdict[tuple[Any, ...], str] = defaultdict(str)
    for event in events:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            assert event["output_index"] == len(items)
            items[event["output_index"]] = event["item"]
        elif kind.endswith(".delta"):
            assert event["item_id"] == items[event["output_index"]]["id"]
            texts[_place(event)] += event["delta"]
        elif kind in ("output_text.done", "reasoning_text.done", "reasoning_summary_text.done"):
            assert event["text"] == texts[_place(event)]
        elif kind == "refusal.done":
            assert event["refusal"] == texts[_place(event)]
        elif kind == "function_call_arguments.done":
            assert event["arguments"] == texts[_place(event)]
        elif kind == "output_item.done":
            assert event["item"]["id"] == items[event["output_index"]]["id"]
            items[event["output_index"]] = event["item"]
    assert all(item.get("status") != "in_progress" for item in items.values())
    return [items[index] for index in sorted(items)]


def _without_later_thoughts(whole: Json, said: Json) -> Json:
    """The item with the reasoning that the stream has shown, if it goes on: a model may think again after its text."""
    for name in ("summary", "content") if whole["type"] == "reasoning" else ():
        for part, begun in zip(whole.get(name, ()), said.get(name, ()), strict=True):
            if part["text"].startswith(begun["text"]):
                whole = {**whole, name: [begun]}
    return whole


def _place(event: Json) -> tuple[Any, ...]:
    kind = event["type"].removesuffix(".delta").removesuffix(".done")
    return kind, event["output_index"], event.get("content_index"), event.get("summary_index")
