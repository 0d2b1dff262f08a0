"""The days that a page of usage shows: the last 7, 30 or 90, or a month. All days are in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from app.admin.charts_days import days_between

LENGTHS = (7, 30, 90)
_USUAL = 30
_MONTHS = 12


@dataclass(frozen=True)
class Period:
    """Some days in a row.

    Attributes:
        name: stands in addresses, such as `30` or `2026-11`.
        words: says which days, such as "30 days" or "November 2026".
        first: the first day.
        last: the last day; of the current month, too, it is the last that has begun.
        length: how many days the period has, even if some are still to come.
    """

    name: str
    words: str
    first: date
    last: date
    length: int

    @property
    def days(self) -> list[date]:
        """The days that have begun, the oldest first."""
        return days_between(self.first, self.last)

    @property
    def before(self) -> tuple[date, date]:
        """The first and the last of as many days before the period."""
        return self.first - timedelta(days=len(self.days)), self.first - timedelta(days=1)


def read_period(name: str, today: date) -> Period:
    """The period of that name; the last 30 days if it is none, or one to come."""
    if name.isascii() and name.isdigit() and int(name[:4]) in LENGTHS and len(name) <= 2:
        return _last_days(int(name), today)
    month = _month(name)
    return _of_month(month, today) if month and month <= today else _last_days(_USUAL, today)


def choices(today: date) -> Sequence[Period]:
    """The periods that one can choose from."""
    months = [today.replace(day=1)]
    while len(months) < _MONTHS:
        months.append((months[-1] - timedelta(days=1)).replace(day=1))
    return [*(_last_days(length, today) for length in LENGTHS), *(_of_month(month, today) for month in months)]


def _last_days(length: int, today: date) -> Period:
    return Period(str(length), f"{length} days", today - timedelta(days=length - 1), today, length)


def _of_month(first: date, today: date) -> Period:
    following = (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    last = following - timedelta(days=1)
    return Period(f"{first:%Y-%m}", f"{first:%B %Y}", first, min(last, today), last.day)


def _month(name: str) -> date | None:
    try:
        return date.fromisoformat(f"{name}-01")
    except ValueError:
        return None
