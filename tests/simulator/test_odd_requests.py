"""Whatever is sent to the simulator, it answers like a vendor: with a refusal at worst, never with a crash."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from tests.simulator.server import RunningSimulator

CHAT = "/openai/v1/chat/completions"
PREDICTIONS = "/replicate/v1/predictions"
SCHEMA = {
    "type": "object",
    "properties": {
        "number": {"type": "integer", "minimum": 1, "exclusiveMaximum": 5},
        "list": {"type": "array", "items": {"type": "string", "minLength": 1, "maxLength": 9}, "minItems": 1},
        "either": {"anyOf": [{"allOf": [{"type": "number"}]}]},
        "other": {"$ref": "#/$defs/other"},
        "word": {"enum": ["up"]},
    },
    "required": ["number", "list", "either", "other", "word"],
    "$defs": {"other": {"type": ["boolean", "null"]}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
TALK: dict[str, Any] = {
    "model": "sim-chat--thought-signatures",
    "messages": [
        {"role": "system", "content": 'Answer JSON with the key "seen".'},
        {"role": "user", "content": [{"type": "text", "text": "JSON"}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "call_1", "content": "nothing"},
        {"role": "user", "content": "look"},
    ],
    "tools": [{"type": "function", "function": {"name": "look", "parameters": SCHEMA}}],
    "tool_choice": {"type": "function", "function": {"name": "look"}},
    "stream_options": {"include_usage": True},
    "max_tokens": 50,
    "stop": ["x"],
    "n": 1,
    "seed": 1,
}
FORM = {
    "model": "sim-chat",
    "messages": [{"role": "user", "content": "7"}],
    "response_format": {"type": "json_schema", "json_schema": {"name": "form", "schema": SCHEMA}},
}
PREDICTION: dict[str, Any] = {
    "version": "simulator/image",
    "input": {
        "prompt": "a boat",
        "seed": 1,
        "width": 64,
        "num_outputs": 1,
        "output_format": "png",
        "output_shape": "list",
    },
    "webhook": "http://localhost:9/",
    "webhook_events_filter": ["completed"],
}
REFERENCE = {"$ref": "#/a/b", "enum": 5}
ODD: list[Any] = [None, True, -1, 10**15, 1.5, "", "http://[", [], [None], {}, {"function": None}, REFERENCE]


def with_one_odd_part(value: Any) -> Iterator[Any]:
    """The value again and again, each time with another part replaced by something odd."""
    yield from ODD
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        for odd in with_one_odd_part(part):
            changed = deepcopy(value)
            changed[key] = odd
            yield changed


@pytest.mark.parametrize(
    ("path", "request_"), [(CHAT, TALK), (CHAT, FORM), (PREDICTIONS, PREDICTION)], ids=["talk", "form", "prediction"]
)
def test_a_request_with_an_odd_part_is_answered_or_refused(
    simulator: RunningSimulator, path: str, request_: dict[str, Any]
) -> None:
    answers = [(odd, simulator.http.post(path, json=odd).status_code) for odd in with_one_odd_part(request_)]

    assert {status for _, status in answers} >= {400}
    assert [(odd, status) for odd, status in answers if status >= 500] == []


def test_a_call_that_is_not_of_a_function_has_none(simulator: RunningSimulator) -> None:
    message = {"role": "assistant", "tool_calls": [{"id": "call_1", "type": "custom", "function": None}]}

    response = simulator.http.post(CHAT, json={"model": "sim-chat", "messages": [message]})

    assert response.status_code == 200


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "minItems": 10**12},
        {"type": "string", "minLength": 10**12},
        {"type": "array", "minItems": 1000, "items": {"$ref": "#"}},
        {"properties": {name: {"$ref": "#"} for name in "abcdefghij"}},
        {"properties": {"size": {"type": "integer", "minimum": "one"}}},
        {"properties": ["size"]},
        {"$ref": "#/$defs/size", "$defs": {"size": 5}},
    ],
    ids=["long-list", "long-text", "lists-of-lists", "objects-of-objects", "minimum", "properties", "reference"],
)
def test_a_schema_that_makes_no_sense_is_refused_and_in_a_prompt_ignored(
    simulator: RunningSimulator, schema: dict[str, Any]
) -> None:
    question = {"role": "user", "content": "look"}
    asked = {"model": "sim-chat", "messages": [question]}
    wanted = {"response_format": {"type": "json_schema", "json_schema": {"name": "form", "schema": schema}}}
    prompt = f"Say JSON like {schema}".replace("'", '"')

    refused = simulator.http.post(CHAT, json={**asked, **wanted})
    answered = simulator.http.post(CHAT, json={**asked, "messages": [{**question, "content": prompt}]})

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "response_format")
    assert answered.status_code == 200


@pytest.mark.parametrize("path", [CHAT, PREDICTIONS])
def test_what_is_nested_too_deeply_for_the_log_is_refused(simulator: RunningSimulator, path: str) -> None:
    deep = b"[" * 260 + b"]" * 260
    known = b'"model": "sim-chat", "messages": [{"role": "user"}]' if path == CHAT else b'"version": "simulator/image"'

    response = simulator.http.post(path, content=b"{%s, %s: %s}" % (known, b'"input"', deep))

    assert response.status_code == 400
    assert simulator.log("chat") == simulator.log("prediction") == []


def test_numbers_of_thousands_of_digits_are_no_reason_to_crash(simulator: RunningSimulator) -> None:
    digits = "1" * 5000
    words = [{"role": "user", "content": f"count to {digits}"}]
    delivered = simulator.run("simulator/image")["output"][0]

    statuses = [
        simulator.http.post(CHAT, json={"model": "sim-chat", "messages": words}).status_code,
        simulator.http.post(CHAT, json={"model": f"sim-chat--slow-{digits}", "messages": words}).status_code,
        simulator.create("simulator/image", {"Cancel-After": digits}).status_code,
        simulator.http.get(delivered, headers={"Range": f"bytes=0-{digits}"}).status_code,
        simulator.http.get("/_sim/log", params={"since": digits}).status_code,
        simulator.http.post("/_sim/clock", json={"skip": 1e300}).status_code,
        simulator.http.post("/_sim/faults", json={"fault": "fail", "match": "simulator/image"}).status_code,
    ]

    assert statuses == [200, 400, 422, 200, 400, 400, 400]
    assert simulator.http.get("/_sim/health").status_code == 200
