"""What the page of usage shows: one chart, the table that is its legend, and how much, how fast, how long."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from app.admin import filters
from app.admin.charts_days import MOST_SERIES, Series, largest
from app.admin.credits.period import Period
from app.credits.spend_days import Spend, SpendOfDay, Split

_ZERO = Decimal(0)
# Of a period whose end is further away than that, nobody needs to know how far.
_MOST_DAYS_LEFT = 3650

SPLITS: Mapping[str, tuple[Split, str]] = {
    "model": (Split.MODEL, "Model"),
    "key": (Split.KEY, "Key"),
    "agent": (Split.AGENT, "Agent"),
    "user": (Split.USER, "User"),
}
_WITHOUT = {
    Split.MODEL: "Without a model",
    Split.KEY: "Without a key",
    Split.AGENT: "Without an agent",
    Split.USER: "Without a user",
}


@dataclass(frozen=True)
class Row:
    """A row of the table under the chart.

    Attributes:
        key: names it in addresses; None for the sum of others.
        name: is shown.
        spend: its sums.
        share: of all that is shown, such as "45.7 %".
        color: of the series that it is, or that it is a part of.
        values: credits by day.
    """

    key: str | None
    name: str
    spend: Spend
    share: str
    color: int
    values: Sequence[Decimal]

    @property
    def used(self) -> str:
        """What was used, in words: tokens, or files and seconds."""
        return used_in_words(self.spend)


@dataclass(frozen=True)
class Usage:
    """The rows by size, the series of the chart, the sum of all, and the credits of each day."""

    rows: Sequence[Row]
    series: Sequence[Series]
    total: Spend
    by_day: Mapping[date, Decimal]


def usage_of(found: Sequence[SpendOfDay], period: Period, split: Split, names: Mapping[str, str]) -> Usage:
    """What was spent in a period, told apart.

    Args:
        found: the sums by day and name.
        period: the days.
        split: what they are told apart by.
        names: what ids are called.
    """
    days = {day: at for at, day in enumerate(period.days)}
    values: dict[str | None, list[Decimal]] = {}
    sums: dict[str | None, Spend] = {}
    counts: dict[str | None, int] = {}
    for one in found:
        values.setdefault(one.name, [_ZERO] * len(days))[days[one.day]] += one.spend.amount
        sums[one.name] = sums.get(one.name, Spend()) + one.spend
        counts[one.name] = one.others
    all_series = [
        Series(name, name_of(name, counts[name], split, names), tuple(of_day), count=counts[name])
        for name, of_day in values.items()
    ]
    series = largest(all_series)
    colors = {one.key: one.color for one in series}
    total = sum(sums.values(), Spend())
    ordered = sorted(all_series, key=lambda one: (one.key is None, -one.total, one.name))
    rows = [
        Row(one.key, one.name, sums[one.key], _share(one.total, total.amount), colors.get(one.key, MOST_SERIES),
            one.values)
        for one in ordered
    ]  # fmt: skip
    by_day = {day: sum((of_day[at] for of_day in values.values()), _ZERO) for day, at in days.items()}
    return Usage(rows, series, total, by_day)


def compared(now: Decimal, before: Decimal, words: str) -> str:
    """How a sum compares with that of as many days before."""
    if not before:
        return f"Nothing in the {words} before" if now else ""
    change = (now - before) / before * 100
    if abs(change) < 1:
        return f"As much as in the {words} before"
    return f"{abs(change):,.0f} % {'more' if change > 0 else 'less'} than in the {words} before"


def lasting(available: Decimal, a_day: Decimal) -> str:
    """How long the available credits last at a rate, in words."""
    if a_day <= 0:
        return "Nothing is spent at present"
    days = int(available / a_day)
    if available <= 0:
        return "Nothing is left"
    if days > _MOST_DAYS_LEFT:
        return "Lasts for more than ten years at this rate"
    if days < 1:
        return "Lasts for less than a day at this rate"
    return f"Lasts about {filters.quantity(days, 'day')} at this rate"


def used_in_words(spend: Spend) -> str:
    """Tokens of model calls, and files and seconds of generations; empty if there were none."""
    parts = []
    if tokens := spend.prompt_tokens + spend.completion_tokens:
        parts.append(f"{short_count(tokens)} tokens")
    if spend.outputs:
        parts.append(filters.quantity(spend.outputs, "file"))
    elif spend.predict_time:
        parts.append(filters.duration(float(spend.predict_time)))
    return ", ".join(parts)


def short_count(number: int) -> str:
    """A number with at most three digits and a letter, such as `41.2 M`."""
    for size, letter in ((10**9, "G"), (10**6, "M"), (10**4, "k")):
        if number >= size:
            unit = 1000 if letter == "k" else size
            return f"{number / unit:,.1f} {letter}"
    return filters.count(number)


def name_of(name: str | None, others: int, split: Split, names: Mapping[str, str]) -> str:
    """What is shown for a name of `SpendOfDay`."""
    if name is None:
        return f"{others:,} others"
    return names.get(name, name) if name else _WITHOUT[split]


def _share(amount: Decimal, total: Decimal) -> str:
    return f"{amount / total * 100:.1f} %" if total > 0 else "\N{EN DASH}"
