"""The geometry of a chart with several bands: figures of different units on one axis of days, each on its own scale."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_CEILING, Decimal

_LABEL_PIXELS = 18
_BAND_PIXELS = 48
_GAP_PIXELS = 26
_AXIS_PIXELS = 22
# How much of a day's width its bar takes.
_BAR_SHARE = 0.68
_STEPS = (1, 2, 5, 10)
_DAYS_OF_A_LABEL = 7
# Where in a day's column the end of its date stands.
_ANCHORS = {"start": 0.0, "middle": 0.5, "end": 1.0}

Figure = int | Decimal


@dataclass(frozen=True)
class Series:
    """What one band shows.

    Attributes:
        name: what it says above the band.
        values: one for each day, at least 0.
        style: the class of its bars, such as `k1`.
        write: how its highest value is written.
    """

    name: str
    values: Sequence[Figure]
    style: str
    write: Callable[[Figure], str]


@dataclass(frozen=True)
class Band:
    """One band. Lengths are pixels from the top of the chart."""

    name: str
    label: float
    top: float
    bottom: float
    most: str


@dataclass(frozen=True)
class Bar:
    """One bar of a day, in pixels."""

    style: str
    y: float
    height: float


@dataclass(frozen=True)
class Day:
    """The column of one day.

    Attributes:
        day: the day.
        x: where it begins, in percent of the chart's width.
        width: its width, in percent.
        bar_x: where its bars begin, in percent.
        bar_width: their width, in percent.
        bars: its bars, from the upper band to the lowest.
        has_label: whether its date is written below it.
        label_x: where the date stands, in percent.
        anchor: which end of the date stands there, so that the first and the last stay within the chart.
    """

    day: date
    x: float
    width: float
    bar_x: float
    bar_width: float
    bars: Sequence[Bar]
    has_label: bool
    label_x: float
    anchor: str


@dataclass(frozen=True)
class BandChart:
    """A chart of bands, `height` pixels high. `top` and `bottom` are those of all bands together."""

    height: int
    top: float
    bottom: float
    axis: float
    bands: Sequence[Band]
    days: Sequence[Day]


def band_chart(first: date, series: Sequence[Series]) -> BandChart:
    """The chart of these series, whose values begin on the same day and are of the same number."""
    bands = [_band(each, number) for number, each in enumerate(series)]
    count = len(series[0].values)
    bottom = bands[-1].bottom
    days = [_day(first, number, count, series, bands) for number in range(count)]
    return BandChart(round(bottom) + _AXIS_PIXELS, bands[0].top, bottom, bottom + 18, bands, days)


def nice_ceiling(value: Figure) -> Decimal:
    """The least of 1, 2 and 5 times a power of ten that is not below the value; 1 for nothing."""
    number = Decimal(value)
    if number <= 0:
        return Decimal(1)
    power = Decimal(1).scaleb(number.adjusted())
    return next(step * power for step in _STEPS if step * power >= number)


def _band(series: Series, number: int) -> Band:
    top = _LABEL_PIXELS + number * (_BAND_PIXELS + _GAP_PIXELS)
    most = nice_ceiling(max(series.values, default=0))
    shown: Figure = int(most) if most == most.to_integral_value(ROUND_CEILING) else most
    return Band(series.name, top - 6, top, top + _BAND_PIXELS, series.write(shown))


def _day(first: date, number: int, count: int, series: Sequence[Series], bands: Sequence[Band]) -> Day:
    width = 100 / count
    x = number * width
    bar_width = width * _BAR_SHARE
    bars = [bar for each, band in zip(series, bands, strict=True) if (bar := _bar(each, band, number)) is not None]
    anchor = "start" if number == 0 else "end" if number + _DAYS_OF_A_LABEL > count else "middle"
    return Day(
        day=first + timedelta(days=number),
        x=round(x, 3),
        width=round(width, 3),
        bar_x=round(x + (width - bar_width) / 2, 3),
        bar_width=round(bar_width, 3),
        bars=bars,
        has_label=number % _DAYS_OF_A_LABEL == 0,
        label_x=round(x + width * _ANCHORS[anchor], 3),
        anchor=anchor,
    )


def _bar(series: Series, band: Band, number: int) -> Bar | None:
    """The bar of a day; None for nothing. What is more than nothing can be seen."""
    value = Decimal(series.values[number])
    if value <= 0:
        return None
    height = max(1.0, float(value / nice_ceiling(max(series.values))) * _BAND_PIXELS)
    return Bar(series.style, round(band.bottom - height, 1), round(height, 1))
