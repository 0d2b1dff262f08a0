from datetime import date
from decimal import Decimal

import pytest

from app.admin.charts_bands import Figure, Series, band_chart, nice_ceiling

FIRST = date(2026, 11, 1)


def series(*values: Figure, name: str = "Requests") -> Series:
    return Series(name, values, "k1", str)


@pytest.mark.parametrize(
    ("value", "ceiling"),
    [(0, "1"), (1, "1"), (3, "5"), (7, "10"), (1133, "2000"), (Decimal("0.000194"), "0.0002"), (Decimal("6.86"), "10")],
    ids=str,
)
def test_a_scale_ends_at_a_round_number(value: Figure, ceiling: str) -> None:
    assert nice_ceiling(value) == Decimal(ceiling)


def test_the_bands_stand_below_each_other_on_one_axis() -> None:
    chart = band_chart(FIRST, [series(1, 2), series(Decimal("0.5"), Decimal(0), name="Credits")])

    first, second = chart.bands
    assert first.bottom < second.label < second.top < second.bottom < chart.axis < chart.height
    assert [band.most for band in chart.bands] == ["2", "0.5"]
    assert [day.day for day in chart.days] == [FIRST, date(2026, 11, 2)]


def test_each_band_has_its_own_scale() -> None:
    chart = band_chart(FIRST, [series(10, 5), series(1000, 100, name="Tokens")])

    heights = [[bar.height for bar in day.bars] for day in chart.days]
    assert heights == [[48.0, 48.0], [24.0, 4.8]]
    for day in chart.days:
        for bar, band in zip(day.bars, chart.bands, strict=True):
            assert bar.y + bar.height == pytest.approx(band.bottom)


def test_a_little_can_be_seen_and_nothing_has_no_bar() -> None:
    chart = band_chart(FIRST, [series(0, 1, 1_000_000)])

    assert [[bar.height for bar in day.bars] for day in chart.days] == [[], [1.0], [48.0]]


def test_columns_fill_the_width_and_dates_stay_within_it() -> None:
    chart = band_chart(FIRST, [series(*range(30))])

    assert chart.days[-1].x + chart.days[-1].width == pytest.approx(100, abs=0.01)
    labels = [(day.day.day, day.anchor) for day in chart.days if day.has_label]
    assert labels == [(1, "start"), (8, "middle"), (15, "middle"), (22, "middle"), (29, "end")]
    assert all(day.x < day.bar_x < day.bar_x + day.bar_width < day.x + day.width for day in chart.days)
