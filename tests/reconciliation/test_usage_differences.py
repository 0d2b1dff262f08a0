"""An upstream's usage against what was metered."""

from datetime import date
from decimal import Decimal

import pytest

from app.core.errors import InvalidRequestError
from app.reconciliation.usage_differences import Usage, UsageDifference, UsageKey, compare_usage
from app.reconciliation.usage_file import UsageColumns, read_usage

DAY = date(2026, 11, 28)
KEY = UsageKey(DAY, "gpt")
COLUMNS = UsageColumns(day="day", model="model", prompt_tokens="in", completion_tokens="out", requests=None)


@pytest.mark.parametrize(
    ("billed", "metered", "tolerance", "is_different"),
    [
        (Usage(100, 50), Usage(100, 50, 3), "0", False),
        (Usage(100, 50), Usage(99, 50, 3), "0", True),
        (Usage(100, 50), Usage(99, 50, 3), "1", False),
        (Usage(98, 50), Usage(100, 50, 3), "1", True),
        (Usage(100, 51), Usage(100, 50, 3), "1", True),
        (Usage(100, 50, 4), Usage(100, 50, 3), "1", True),
        (Usage(100, 50, 3), Usage(100, 50, 3), "0", False),
        (Usage(0, 0), Usage(0, 0, 0), "0", False),
    ],
)
def test_figures_may_differ_by_the_tolerance(billed: Usage, metered: Usage, tolerance: str, is_different: bool) -> None:
    found = compare_usage({KEY: billed}, {KEY: metered}, Decimal(tolerance))

    assert found == ([UsageDifference(KEY, billed, metered)] if is_different else [])


def test_what_only_one_side_knows_is_a_difference() -> None:
    other = UsageKey(date(2026, 11, 27), "gpt")

    found = compare_usage({KEY: Usage(1, 1)}, {other: Usage(2, 2, 1)}, Decimal(1))

    assert found == [
        UsageDifference(other, Usage(0, 0, 0), Usage(2, 2, 1)),
        UsageDifference(KEY, Usage(1, 1), Usage(0, 0, 0)),
    ]


@pytest.mark.parametrize(
    "day",
    ["2026-11-28", "2026-11-28T23:59:59Z", "2026-11-28 23:59:59", "2026-11-29T01:30:00+02:00", "1795910399"],
)
def test_days_are_those_of_utc(day: str) -> None:
    assert read_usage(["day,model,in,out\n", f"{day},gpt,10,5\n"], COLUMNS) == {KEY: Usage(10, 5)}


def test_the_rows_of_a_day_and_model_are_added_up() -> None:
    lines = ["n,model,day,out,in\n", "2,gpt,2026-11-28,5,10\n", "3,gpt,2026-11-28,1,2\n", '1,"a,b",2026-11-28,0,0\n']
    columns = UsageColumns(day="day", model="model", prompt_tokens="in", completion_tokens="out", requests="n")

    assert read_usage(lines, columns) == {KEY: Usage(12, 6, 5), UsageKey(DAY, "a,b"): Usage(0, 0, 1)}


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ([], "The file has no column day, model, in, out"),
        (["day,model,in\n"], "The file has no column out"),
        (["day,model,in,out\n", "2026-11-28,gpt,10,5\n", "2026-11-28,gpt,1.5,5\n"], "Line 3: in is not a whole number"),
        (["day,model,in,out\n", "2026-11-28,gpt,-1,5\n"], "Line 2: in is not a whole number"),
        (["day,model,in,out\n", f"2026-11-28,gpt,{'9' * 5000},5\n"], "Line 2: in is not a whole number"),
        (["day,model,in,out\n", "2026-11-28,gpt,1\n"], "Line 2: out is not a whole number"),
        (["day,model,in,out\n", "28.11.2026,gpt,1,1\n"], "Line 2: day is neither a day nor a time"),
        (["day,model,in,out\n", f"{'9' * 30},gpt,1,1\n"], "Line 2: day is neither a day nor a time"),
        (["day,model,in,out\n", "2026-11-28,,1,1\n"], "Line 2: model is empty"),
        (["day,model,in,out\n", f"2026-11-28,{'x' * 200_000},1,1\n"], "Line 2: field larger than field limit"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_in_words(lines: list[str], text: str) -> None:
    with pytest.raises(InvalidRequestError, match=text):
        read_usage(lines, COLUMNS)
