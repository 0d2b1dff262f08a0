import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.protocol import Usage
from app.chat_models.usage import MAX_TOKENS, parse_usage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def reported(prompt_tokens: Any, completion_tokens: Any) -> dict[str, Any]:
    return {"usage": {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}}


@pytest.mark.parametrize(("prompt_tokens", "completion_tokens"), [(0, 0), (12, 0), (MAX_TOKENS, MAX_TOKENS)])
def test_counts_are_read_and_an_explicit_zero_is_kept(prompt_tokens: int, completion_tokens: int) -> None:
    usage = parse_usage(reported(prompt_tokens, completion_tokens))

    assert usage == Usage(prompt_tokens, completion_tokens)


@pytest.mark.parametrize("body", [{}, {"usage": None}])
def test_missing_usage_is_none_and_logs_nothing(body: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert parse_usage(body) is None
    assert caplog.messages == []


@pytest.mark.parametrize("figure", [-1, MAX_TOKENS + 1, 1.0, math.nan, math.inf, True, "7", None, [7]])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_usage_with_one_bad_figure_is_discarded(name: str, figure: Any, caplog: pytest.LogCaptureFixture) -> None:
    body = reported(3, 4)
    body["usage"][name] = figure

    with caplog.at_level(logging.WARNING):
        usage = parse_usage(body)

    assert usage is None
    assert caplog.messages == ["upstream_usage_refused"]


@pytest.mark.parametrize("report", [[], "12", 12, {}, {"prompt_tokens": 3}])
def test_usage_of_another_shape_is_discarded(report: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert parse_usage({"usage": report}) is None
    assert caplog.messages == ["upstream_usage_refused"]


@given(json_values)
def test_counts_are_within_bounds_for_any_report(report: Any) -> None:
    usage = parse_usage({"usage": report})

    assert usage is None or (0 <= usage.prompt_tokens <= MAX_TOKENS and 0 <= usage.completion_tokens <= MAX_TOKENS)


@given(json_values, json_values)
def test_counts_are_within_bounds_for_any_figures(prompt_tokens: Any, completion_tokens: Any) -> None:
    usage = parse_usage(reported(prompt_tokens, completion_tokens))

    assert usage is None or (0 <= usage.prompt_tokens <= MAX_TOKENS and 0 <= usage.completion_tokens <= MAX_TOKENS)
