"""Which tokens are paid for, by what was reported and what was delivered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chat_models.judgement import is_free, judge
from app.chat_models.protocol import Usage

PROMPT_ESTIMATE = 100
FREE = (Usage(0, 0), False)

counts = st.integers(0, 1000)
reports = st.none() | st.builds(Usage, counts, counts)


@pytest.mark.parametrize("report", [Usage(10, 5), Usage(0, 0), Usage(0, 5)])
@pytest.mark.parametrize("delivered_bytes", [0, 7, 40_000])
def test_a_final_report_is_taken_as_it_is(report: Usage, delivered_bytes: int) -> None:
    assert judge(report, delivered_bytes, PROMPT_ESTIMATE, is_final=True) == (report, False)


@pytest.mark.parametrize("is_final", [True, False])
@pytest.mark.parametrize(("delivered_bytes", "tokens"), [(1, 1), (4, 1), (5, 2), (40_000, 10_000)])
def test_without_a_report_all_is_estimated(delivered_bytes: int, tokens: int, is_final: bool) -> None:
    judged = judge(None, delivered_bytes, PROMPT_ESTIMATE, is_final=is_final)

    assert judged == (Usage(PROMPT_ESTIMATE, tokens), True)


@pytest.mark.parametrize(
    ("report", "delivered_bytes", "judged", "is_estimated"),
    [
        pytest.param(Usage(10, 1), 40_000, Usage(10, 10_000), True, id="an early report of one token"),
        pytest.param(Usage(10, 500), 40, Usage(10, 500), False, id="reasoning that was not delivered"),
        pytest.param(Usage(10, 10), 40, Usage(10, 10), False, id="as much as was delivered"),
        pytest.param(Usage(0, 10), 40, Usage(PROMPT_ESTIMATE, 10), True, id="no figure for the prompt"),
        pytest.param(Usage(0, 0), 40, Usage(PROMPT_ESTIMATE, 10), True, id="zeros"),
        pytest.param(Usage(10, 7), 0, Usage(10, 7), False, id="nothing delivered of what was generated"),
    ],
)
def test_a_cut_answer_is_paid_for_by_the_larger_figure(
    report: Usage, delivered_bytes: int, judged: Usage, is_estimated: bool
) -> None:
    assert judge(report, delivered_bytes, PROMPT_ESTIMATE, is_final=False) == (judged, is_estimated)


@pytest.mark.parametrize("report", [None, Usage(0, 0), Usage(10, 0)])
def test_a_cut_answer_without_output_is_free(report: Usage | None) -> None:
    assert is_free(report, 0, is_final=False)
    assert judge(report, 0, PROMPT_ESTIMATE, is_final=False) == FREE


def test_an_empty_answer_without_a_report_is_free() -> None:
    assert is_free(None, 0, is_final=True)
    assert judge(None, 0, PROMPT_ESTIMATE, is_final=True) == FREE


@given(report=reports, delivered_bytes=counts, is_final=st.booleans())
def test_an_estimate_is_told_whenever_it_decided(report: Usage | None, delivered_bytes: int, is_final: bool) -> None:
    judged, is_estimated = judge(report, delivered_bytes, PROMPT_ESTIMATE, is_final=is_final)

    assert is_estimated == (judged not in (report, Usage(0, 0)))
    assert judged == Usage(0, 0) or not is_free(report, delivered_bytes, is_final=is_final)


@given(report=reports, delivered_bytes=st.integers(1, 1000))
def test_no_cut_answer_is_cheaper_than_what_arrived_of_it(report: Usage | None, delivered_bytes: int) -> None:
    judged, _ = judge(report, delivered_bytes, PROMPT_ESTIMATE, is_final=False)

    assert judged.completion_tokens * 4 >= delivered_bytes
    assert judged.completion_tokens >= (report.completion_tokens if report else 0)
    assert judged.prompt_tokens > 0
