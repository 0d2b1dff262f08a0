"""The geometry of a chart of days: stacked bars, one for each day. Pure functions over exact decimals.

How a page uses it:

    series = largest([Series("gpt-4.1", "gpt-4.1", (Decimal("0.5"), Decimal("1.25"), …)), …])
    chart = stacked_days(days, series, unit="credits", href=lambda day: f"/admin/ledger?from={day}&to={day}")

and in its template:

    {% import "charts.html" as charts with context %}
    {{ charts.days(chart, "Credits a day, by model") }}

`series` is the legend as well: the table under the chart has one row for each, with `charts.swatch(series.color)`
before its name and `series.total` as its sum. Every value is exact until it becomes a height in pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

# There are so many colours of series. What is smaller than the largest is summed up in the last one.
MOST_SERIES = 6

_ZERO = Decimal(0)
# Across in percent of the plot, beside which the scale has its own room, so that text keeps its size at every width;
# down in pixels.
_PLOT_WIDTH = 100.0
_PLOT_TOP, _PLOT_BOTTOM = 10.0, 186.0
_HEIGHT = 208
_BAR_SHARE = 0.68
_GAP = 1.0
_LEAST_HEIGHT = 0.6
_INTERVALS = 4
_STEPS = tuple(Decimal(step) for step in ("1", "1.5", "2", "2.5", "3", "4", "5", "6", "8", "10"))
_MOST_CAPTIONS = 6
_SPARK_WIDTH, _SPARK_BOTTOM = 96.0, 19.0


@dataclass(frozen=True)
class Series:
    """What is compared with others, such as a model: a value for each day of the chart.

    Attributes:
        key: names it in addresses; None for the sum of others.
        name: is shown.
        values: one for each day, the oldest first.
        color: 1 to 6, in the order of size; 0 before that is known.
        count: how many it is the sum of.
    """

    key: str | None
    name: str
    values: Sequence[Decimal]
    color: int = 0
    count: int = 1

    @property
    def total(self) -> Decimal:
        return sum(self.values, _ZERO)


@dataclass(frozen=True)
class Part:
    """One rectangle of a bar: its colour, its upper edge and its height in pixels."""

    color: int
    y: str
    height: str


@dataclass(frozen=True)
class DayBar:
    """One day: the zone that reacts to the pointer, the bar in it, and what both say.

    Attributes:
        day: the day.
        href: where the bar leads; None: nowhere.
        label: the day's sum and its largest part, in words.
        zone_x: where the zone begins, in percent.
        zone_width: in percent.
        x: where the bar begins, in percent.
        width: in percent.
        middle: of the zone, in percent.
        parts: from the bottom to the top.
        caption: is written under the bar; None: nothing is.
        is_first_stop: whether the Tab key leads to it; the arrow keys lead on from there.
    """

    day: date
    href: str | None
    label: str
    zone_x: str
    zone_width: str
    x: str
    width: str
    middle: str
    parts: Sequence[Part]
    caption: str | None
    is_first_stop: bool


@dataclass(frozen=True)
class ScaleLine:
    """One line across the chart: how far down it is, and the value that it stands for."""

    y: str
    text_y: str
    value: str


@dataclass(frozen=True)
class DayChart:
    """A chart of days. `readout` is what the line under it says before a day is chosen."""

    height: int
    zone_height: str
    caption_y: str
    lines: Sequence[ScaleLine]
    bars: Sequence[DayBar]
    readout: str


def largest(series: Sequence[Series], *, most: int = MOST_SERIES) -> list[Series]:
    """The series in the order of size, each with its colour. Beyond `most` the smallest are summed up in the last.

    One that is a sum of others already, because nobody could show them all, belongs to the last in any case.
    """
    ordered = sorted(series, key=lambda one: (one.key is None, -one.total, one.name))
    if len(ordered) > most or any(one.key is None for one in ordered):
        named = min(most - 1, sum(one.key is not None for one in ordered))
        rest = ordered[named:]
        values = tuple(sum(of_day, _ZERO) for of_day in zip(*(one.values for one in rest), strict=True))
        others = sum(one.count for one in rest)
        ordered = [*ordered[:named], Series(None, f"{others:,} others", values, count=others)]
    return [replace(one, color=number) for number, one in enumerate(ordered, 1)]


def spark(values: Sequence[Decimal]) -> str:
    """The path of a line of these values in a box of 96 by 20, for `charts.spark`."""
    most = max(values, default=_ZERO)
    step = _SPARK_WIDTH / max(len(values) - 1, 1)
    points = []
    for at, value in enumerate(values):
        share = float(max(value, _ZERO) / most) if most > 0 else 0.0
        points.append(f"{at * step:.1f} {_SPARK_BOTTOM - share * (_SPARK_BOTTOM - 1):.1f}")
    return "M" + " L".join(points) if points else ""


def stacked_days(
    days: Sequence[date], series: Sequence[Series], *, unit: str, href: Callable[[date], str] | None = None
) -> DayChart:
    """The chart of these days.

    Args:
        days: the oldest first.
        series: from `largest`; each has one value for each day. What is negative is not drawn, but counts in the sums.
        unit: is said behind each sum, such as "credits".
        href: where the bar of a day leads.
    """
    sums = [sum((one.values[at] for one in series), _ZERO) for at in range(len(days))]
    drawn = [sum((max(one.values[at], _ZERO) for one in series), _ZERO) for at in range(len(days))]
    step = _scale_step(max(drawn, default=_ZERO))
    first_stop = max((at for at, total in enumerate(sums) if total), default=len(days) - 1)
    bars = []
    for at, day in enumerate(days):
        values = [(one.color, one.values[at]) for one in series]
        bars.append(
            DayBar(
                day=day,
                href=href(day) if href else None,
                label=_label(day, at, series, sums[at], unit),
                **_across(at, len(days)),
                parts=_stack(values, step * _INTERVALS),
                caption=short_day(day) if at % _between_captions(len(days)) == 0 else None,
                is_first_stop=at == first_stop,
            )
        )
    return DayChart(
        height=_HEIGHT,
        zone_height=_pixels(_PLOT_BOTTOM),
        caption_y=_pixels(_PLOT_BOTTOM + 16),
        lines=_lines(step),
        bars=bars,
        readout=bars[first_stop].label if bars else "",
    )


def days_between(first: date, last: date) -> list[date]:
    """Every day from the first to the last, both included."""
    return [date.fromordinal(day) for day in range(first.toordinal(), last.toordinal() + 1)]


def short_day(day: date) -> str:
    """A day as charts name it, such as `6 Nov`."""
    return f"{day.day} {day:%b}"


def _label(day: date, at: int, series: Sequence[Series], total: Decimal, unit: str) -> str:
    text = f"{short_day(day)}: {total:,f} {unit}"
    if len(series) > 1 and total:
        most = max(series, key=lambda one: one.values[at])
        text += f", of it {most.name} {most.values[at]:,f}"
    return text


def _across(at: int, days: int) -> dict[str, str]:
    width = _PLOT_WIDTH / days
    return {
        "zone_x": _percent(at * width),
        "zone_width": _percent(width),
        "x": _percent((at + (1 - _BAR_SHARE) / 2) * width),
        "width": _percent(_BAR_SHARE * width),
        "middle": _percent((at + 0.5) * width),
    }


def _between_captions(days: int) -> int:
    return -(-days // _MOST_CAPTIONS)


def _stack(values: Sequence[tuple[int, Decimal]], top: Decimal) -> list[Part]:
    parts = []
    below = _ZERO
    for color, value in values:
        if value <= 0:
            continue
        bottom = _y(below, top) - _GAP
        below += value
        height = max(bottom - _y(below, top), _LEAST_HEIGHT)
        parts.append(Part(color, _pixels(bottom - height), _pixels(height)))
    return parts


def _y(value: Decimal, top: Decimal) -> float:
    return _PLOT_BOTTOM - float(value / top) * (_PLOT_BOTTOM - _PLOT_TOP)


def _scale_step(most: Decimal) -> Decimal:
    """The smallest round number of which four reach the largest value."""
    least = most / _INTERVALS
    if least <= 0:
        return Decimal("0.25")
    unit = Decimal(1).scaleb(least.adjusted())
    return next(step for step in _STEPS if step * unit >= least) * unit


def _lines(step: Decimal) -> list[ScaleLine]:
    lines = []
    for number in range(_INTERVALS + 1):
        y = _PLOT_BOTTOM - number * (_PLOT_BOTTOM - _PLOT_TOP) / _INTERVALS
        lines.append(ScaleLine(_pixels(y), _pixels(y + 4), _scale_value(step * number)))
    return lines


def _scale_value(value: Decimal) -> str:
    for size, letter in ((Decimal(10) ** 9, "G"), (Decimal(10) ** 6, "M"), (Decimal(10) ** 3, "k")):
        if value >= size:
            return f"{_plain(value / size)} {letter}"
    return _plain(value)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _percent(value: float) -> str:
    return f"{value:.3f}%"


def _pixels(value: float) -> str:
    return f"{value:.1f}"
