import logging
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.protocol import Usage
from app.chat_models.usage import MAX_TOKENS, Report, UsageReports, parse_report

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
    report = parse_report(reported(prompt_tokens, completion_tokens))

    assert report == Report(prompt_tokens, completion_tokens)


@pytest.mark.parametrize("body", [{}, {"usage": None}])
def test_missing_usage_is_none_and_logs_nothing(body: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    assert parse_report(body) is None
    assert caplog.messages == []


@pytest.mark.parametrize("figure", [-1, MAX_TOKENS + 1, 1.5, -1.0, 1e300, math.nan, math.inf, True, "7", [7]])
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_usage_with_one_bad_figure_is_discarded(name: str, figure: Any, caplog: pytest.LogCaptureFixture) -> None:
    body = reported(3, 4)
    body["usage"][name] = figure

    with caplog.at_level(logging.WARNING):
        report = parse_report(body)

    assert report is None
    assert caplog.messages == ["upstream_usage_refused"]


@pytest.mark.parametrize(
    ("total", "completion_tokens"),
    [(15, 5), (1015, 1005), (14, 5), (0, 5), (None, 5), (-1, 5), (1015.0, 1005), ("1015", 5), (True, 5), (10**12, 5)],
)
def test_what_only_the_total_counts_is_part_of_the_completion(total: Any, completion_tokens: int) -> None:
    body = reported(10, 5)
    body["usage"]["total_tokens"] = total

    assert parse_report(body) == Report(10, completion_tokens)


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
            reports.add(Report(prompt_tokens, completion_tokens), is_finished=is_finished)
            reports.add(None, is_finished=is_finished)
    return reports


@pytest.mark.parametrize("report", [[], "12", 12, {}, {"total_tokens": 3}, {"prompt_tokens": None}])
def test_usage_of_another_shape_is_discarded(report: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert parse_report({"usage": report}) is None
    assert caplog.messages == ["upstream_usage_refused"]


def is_within_bounds(report: Report | None) -> bool:
    figures = [report.prompt_tokens, report.completion_tokens] if report else []
    return all(figure is None or 0 <= figure <= MAX_TOKENS for figure in figures)


@given(json_values)
def test_counts_are_within_bounds_for_any_report(report: Any) -> None:
    assert is_within_bounds(parse_report({"usage": report}))


@given(json_values, json_values)
def test_counts_are_within_bounds_for_any_figures(prompt_tokens: Any, completion_tokens: Any) -> None:
    assert is_within_bounds(parse_report(reported(prompt_tokens, completion_tokens)))


@pytest.mark.parametrize(
    ("body", "report"),
    [
        pytest.param({"usage": {"prompt_tokens": 10.0, "completion_tokens": 5.0}}, Report(10, 5), id="floats"),
        pytest.param({"usage": {"prompt_tokens": 10}}, Report(10), id="only the prompt"),
        pytest.param({"usage": {"prompt_tokens": 10, "completion_tokens": None}}, Report(10), id="null"),
        pytest.param({"usage": {"completion_tokens": 5}}, Report(None, 5), id="only the completion"),
        pytest.param(
            {"usage": {"prompt_tokens": 10, "total_tokens": 15}}, Report(10, 5), id="the prompt and the total"
        ),
        pytest.param({"usage": {"input_tokens": 10, "output_tokens": 5}}, Report(10, 5), id="other names"),
        pytest.param(
            {"choices": [{"usage": {"prompt_tokens": 10, "completion_tokens": 5}}]}, Report(10, 5), id="in the choice"
        ),
        pytest.param(
            {"usage": None, "x_groq": {"usage": {"prompt_tokens": 10, "completion_tokens": 5}}},
            Report(10, 5),
            id="in an extension",
        ),
    ],
)
def test_usage_is_understood_as_servers_write_it(body: dict[str, Any], report: Report) -> None:
    assert parse_report(body) == report


def test_a_prompt_without_a_completion_leaves_the_completion_open() -> None:
    reports = UsageReports()

    reports.add(Report(10), is_finished=True)

    assert (reports.best, reports.is_final) == (Usage(10, 0), False)


def test_details_are_read_without_what_are_no_counts() -> None:
    body = reported(10, 5)
    body["usage"]["prompt_tokens_details"] = {"cached_tokens": 4.0, "audio_tokens": 0, "odd": "x", "bad": -1}
    body["usage"] |= {"completion_tokens_details": {"reasoning_tokens": 3}, "cost_details": 7, "x_details": {"y": None}}

    report = parse_report(body)

    assert report is not None
    assert report.details == {
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }


def test_of_several_reports_the_last_details_that_are_not_zero_count() -> None:
    reports = UsageReports()

    for cached, reasoning in ((4, 1), (0, 7), (0, 0)):
        details = {"prompt_tokens_details": {"cached_tokens": cached}, "x_details": {"reasoning_tokens": reasoning}}
        reports.add(Report(10, 5, details), is_finished=True)

    assert reports.best is not None
    assert reports.best.details == {
        "prompt_tokens_details": {"cached_tokens": 4},
        "x_details": {"reasoning_tokens": 7},
    }


def test_the_details_of_several_calls_are_added_up() -> None:
    one = Usage(10, 5, {"prompt_tokens_details": {"cached_tokens": 4}})
    other = Usage(1, 2, {"prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 1}, "x_details": {"y": 1}})

    assert (one + other + Usage(0, 0)).details == {
        "prompt_tokens_details": {"cached_tokens": 7, "audio_tokens": 1},
        "x_details": {"y": 1},
    }
