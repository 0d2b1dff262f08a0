"""Whatever a model writes as arguments is an object that can be stored, or an error that it can read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.agents.runtime.tool_arguments import ToolArgumentsError, parse_arguments
from app.core.json import exact_json

ODD_TEXT = st.text(st.sampled_from('{}[]":,\\\0\ud800u0000 1eE+-.nft\U0001f98a'), max_size=40)


@given(ODD_TEXT | st.dictionaries(ODD_TEXT, ODD_TEXT | st.integers() | st.floats(), max_size=3).map(json.dumps))
def test_any_text_is_an_object_that_can_be_stored_or_an_error(text: str) -> None:
    try:
        arguments = parse_arguments(text)
    except ToolArgumentsError:
        return
    exact_json(arguments)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        (r'{"model": "simulator/glb\u0000"}', {"model": "simulator/glb\ufffd"}),
        ('{"a": 1e308, "b": 18446744073709551616}', {"a": 1e308, "b": 2.0**64}),
        ('{"a": ' + "[" * 199 + "]" * 199 + "}", None),
    ],
)
def test_what_can_be_repaired_is_used(text: str, arguments: Any) -> None:
    parsed = parse_arguments(text)

    assert arguments is None or parsed == arguments


@pytest.mark.parametrize(
    "text",
    [
        "null",
        "[]",
        "7",
        '"{}"',
        "{",
        '{"a": NaN}',
        '{"a": 1e400}',
        '{"a": ' + "9" * 4300 + "}",
        r'{"a": "\ud800"}',
        "\ud800",
        *('{"a": ' + "[" * levels + "]" * levels + "}" for levels in (200, 253, 254, 1000, 1021, 1024, 100_000)),
        '{"a": [' + "[]," * 200_000 + "1]}",
        '{"a": "' + "a" * 10_000_000 + '"}',
    ],
    ids=lambda text: text[:20],
)
def test_what_cannot_be_used_is_told(text: str) -> None:
    with pytest.raises(ToolArgumentsError, match="arguments"):
        parse_arguments(text)
