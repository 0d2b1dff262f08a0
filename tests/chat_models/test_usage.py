import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.protocol import Usage
from app.chat_models.usage import MAX_TOKENS, UsageReports, parse_usage

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


Figures = list[tuple[int, int]]


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


@pytest.mark.parametrize(
    ("total", "completion_tokens"),
    [(15, 5), (1015, 1005), (14, 5), (0, 5), (None, 5), (-1, 5), (1015.0, 5), ("1015", 5), (True, 5), (10**12, 5)],
)
def test_what_only_the_total_counts_is_part_of_the_completion(total: Any, completion_tokens: int) -> None:
    body = reported(10, 5)
    body["usage"]["total_tokens"] = total

    assert parse_usage(body) == Usage(10, completion_tokens)


@pytest.mark.parametrize(
    ("early", "final", "best"),
    [
        pytest.param([(10, 1)], [(10, 900)], (10, 900), id="an early report of one token"),
        pytest.param([(1000, 1)], [(0, 50)], (1000, 50), id="the prompt early, the completion at the end"),
        pytest.param([], [(1000, 500), (0, 0)], (1000, 500), id="zeros after the end"),
        pytest.param([(10, 9)], [(10, 5)], (10, 5), id="a smaller figure at the end"),
        pytest.param([], [(0, 0)], (0, 0), id="an explicit zero"),
        pytest.param([(0, 0)], [(0, 0)], (0, 0), id="nothing but zeros"),
        pytest.param([(10, 0)], [(10, 0)], (10, 0), id="an answer of no tokens"),
    ],
)
def test_the_last_figure_that_is_not_zero_counts(early: Figures, final: Figures, best: tuple[int, int]) -> None:
    reports = reports_of(early, final)

    assert (reports.best, reports.is_final) == (Usage(*best), True)


@pytest.mark.parametrize(
    ("early", "final", "best"),
    [
        pytest.param([(10, 1)], [], (10, 1), id="no report at the end"),
        pytest.param([(10, 1)], [(0, 0)], (10, 1), id="zeros at the end"),
        pytest.param([(10, 1)], [(10, 0)], (10, 1), id="only the prompt at the end"),
        pytest.param([(10, 1), (10, 7)], [], (10, 7), id="a running count that was cut"),
    ],
)
def test_a_figure_from_before_the_end_is_not_final(early: Figures, final: Figures, best: tuple[int, int]) -> None:
    reports = reports_of(early, final)

    assert (reports.best, reports.is_final) == (Usage(*best), False)


def reports_of(early: Figures, final: Figures) -> UsageReports:
    reports = UsageReports()
    for is_finished, figures in ((False, early), (True, final)):
        for prompt_tokens, completion_tokens in figures:
            reports.add(Usage(prompt_tokens, completion_tokens), is_finished=is_finished)
            reports.add(None, is_finished=is_finished)
    return reports


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
