"""The geometry of charts of days: exact sums, and heights that stay inside."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from app.admin.charts_days import MOST_SERIES, DayChart, Series, days_between, largest, stacked_days

_FIRST = date(2026, 10, 30)
_AMOUNTS = st.decimals(min_value=0, max_value=10**9, places=6)


def _days(count: int) -> list[date]:
    return [_FIRST + timedelta(days=at) for at in range(count)]


@st.composite
def _series(draw: st.DrawFn) -> tuple[list[date], list[Series]]:
    count = draw(st.integers(1, 92))
    names = draw(st.lists(st.text("abc", min_size=1, max_size=5), unique=True, max_size=12))
    values = st.lists(_AMOUNTS, min_size=count, max_size=count).map(tuple)
    return _days(count), [Series(name, name, draw(values)) for name in names]


@given(_series())
def test_the_largest_and_the_others_add_up_to_all(given_: tuple[list[date], list[Series]]) -> None:
    _, series = given_

    shown = largest(series)

    assert len(shown) == min(len(series), MOST_SERIES)
    assert [one.color for one in shown] == list(range(1, len(shown) + 1))
    assert sum(one.total for one in shown) == sum(one.total for one in series)
    named = [one.total for one in shown if one.key is not None]
    assert named == sorted(named, reverse=True)


@given(_series())
def test_bars_stay_inside_the_plot_and_do_not_overlap(given_: tuple[list[date], list[Series]]) -> None:
    days, series = given_

    chart = stacked_days(days, largest(series), unit="credits")

    assert [bar.day for bar in chart.bars] == days
    for bar in chart.bars:
        below = 186.0
        for part in bar.parts:
            top, height = float(part.y), float(part.height)
            # What is too small to be seen is drawn nevertheless, a pixel above where it would be.
            assert 0 < top <= below + 6
            assert height >= 0.6
            below = top
    assert float(chart.bars[-1].zone_x[:-1]) + float(chart.bars[-1].zone_width[:-1]) <= 100.01
    assert sum(bar.is_first_stop for bar in chart.bars) == 1


def test_a_bar_says_its_sum_and_its_largest_part_exactly() -> None:
    days = _days(2)
    series = largest(
        [
            Series("video", "video", (Decimal("3.500000"), Decimal(0))),
            Series("chat", "chat", (Decimal("8.266438"), Decimal("0.000001"))),
        ]
    )

    chart = stacked_days(days, series, unit="credits", href=lambda day: f"/ledger?from={day}")

    assert [bar.label for bar in chart.bars] == [
        "30 Oct: 11.766438 credits, of it chat 8.266438",
        "31 Oct: 0.000001 credits, of it chat 0.000001",
    ]
    assert chart.bars[0].href == "/ledger?from=2026-10-30"
    assert chart.readout == chart.bars[1].label
    assert [line.value for line in chart.lines] == ["0", "3", "6", "9", "12"]


def test_days_without_anything_are_drawn_as_empty() -> None:
    chart = stacked_days(_days(30), [], unit="credits")

    assert all(not bar.parts for bar in chart.bars)
    assert chart.bars[29].is_first_stop
    assert [line.value for line in chart.lines][-1] == "1"


def test_a_higher_bar_is_a_larger_value() -> None:
    chart = stacked_days(_days(2), largest([Series("a", "a", (Decimal(1), Decimal(2)))]), unit="credits")

    assert _height(chart, 1) > 1.9 * _height(chart, 0)


def test_large_values_have_short_scales() -> None:
    chart = stacked_days(_days(1), largest([Series("a", "a", (Decimal(41_200_000),))]), unit="tokens")

    assert [line.value for line in chart.lines] == ["0", "15 M", "30 M", "45 M", "60 M"]


def test_captions_are_few_enough_for_a_phone() -> None:
    for count in (1, 7, 30, 31, 90):
        chart = stacked_days(_days(count), [], unit="credits")
        assert 1 <= sum(bar.caption is not None for bar in chart.bars) <= 6


def test_days_between_has_both_ends() -> None:
    assert days_between(date(2026, 2, 27), date(2026, 3, 1)) == [
        date(2026, 2, 27),
        date(2026, 2, 28),
        date(2026, 3, 1),
    ]


def _height(chart: DayChart, at: int) -> float:
    return sum(float(part.height) for part in chart.bars[at].parts)
