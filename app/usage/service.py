"""What an organization has used in a period: the ledger's own sums, so that nothing differs from what was charged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from enum import StrEnum
from typing import Final

from app.api_keys import service as api_keys
from app.api_keys.caller import Caller
from app.core.clock import moment_of
from app.core.database import Transaction
from app.core.errors import InvalidRequestError
from app.credits import spend_days
from app.credits.spend_days import Spend, SpendOfDay, Split
from app.organizations.models import MembershipRole
from app.organizations.repository import find_membership

MOST_DAYS: Final = 366
# If each day has a line for each name.
MOST_DAYS_WITH_NAMES: Final = 92
# So many are told apart, by what they have cost. All others together are one line a day.
MOST_NAMES: Final = 100


class Group(StrEnum):
    """What usage may be told apart by."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"
    AGENT = "agent"


_SPLITS: Final = {Group.MODEL: Split.MODEL, Group.KEY: Split.KEY, Group.AGENT: Split.AGENT}


@dataclass(frozen=True)
class Period:
    """Whole days in UTC; both the first and the last are in it."""

    first: date
    last: date


@dataclass(frozen=True)
class Line:
    """What was used by one of what it is told apart by.

    Attributes:
        day: None if days are not told apart.
        name: of the model or agent, or the key's id; empty for use without one; None for `others`, and if only days
            are told apart.
        others: how many smaller ones the line is the sum of; 0 for a line of its own.
        spend: the sums.
    """

    day: date | None
    name: str | None
    others: int
    spend: Spend


@dataclass(frozen=True)
class Usage:
    """What was used in a period.

    Attributes:
        period: the days.
        groups: what it is told apart by.
        lines: ordered by day, and the most expensive first.
        total: the sum of all lines.
        key_names: of the keys among the lines, by their ids.
        is_complete: whether everything that was charged until now is in it.
    """

    period: Period
    groups: Sequence[Group]
    lines: Sequence[Line]
    total: Spend
    key_names: Mapping[str, str]
    is_complete: bool


def read_groups(text: str) -> list[Group]:
    """What usage is to be told apart by, of names between commas: days, and one of the others.

    Raises:
        InvalidRequestError: there is no such name, one comes twice, or there are two besides `day`.
    """
    names = [name.strip() for name in text.split(",")] if text.strip() else []
    known = ", ".join(Group)
    if unknown := [name for name in names if name not in set(Group)]:
        raise InvalidRequestError(f"group_by: there is no {unknown[0][:64]!r}. Known: {known}", param="group_by")
    if len(set(names)) < len(names) or len(set(names) - {Group.DAY}) > 1:
        raise InvalidRequestError(f"group_by: day, and at most one of the others. Known: {known}", param="group_by")
    return [Group(name) for name in names]


async def read_period(tx: Transaction, first: date | None, last: date | None, groups: Sequence[Group]) -> Period:
    """The days that are meant: without a last one until today, without a first one from the month's beginning.

    Raises:
        InvalidRequestError: the last is before the first, or these are too many days for one answer.
    """
    last = last or (await moment_of(tx)).astimezone(UTC).date()
    first = first or last.replace(day=1)
    if last < first:
        raise InvalidRequestError(f"to: {last} is before {first}", param="to")
    most = MOST_DAYS_WITH_NAMES if Group.DAY in groups and len(groups) > 1 else MOST_DAYS
    if last - first >= timedelta(days=most):
        raise InvalidRequestError(f"from: these are more than {most} days", param="from")
    return Period(first, last)


async def read_usage(tx: Transaction, caller: Caller, period: Period, groups: Sequence[Group]) -> Usage:
    """What was used in the period, as far as whoever made the key may see it in the console, too.

    Members see what they have used themselves, and everybody else what the organization has used.
    """
    split = next((_SPLITS[group] for group in groups if group is not Group.DAY), None)
    found = await spend_days.spend_by_day(
        tx,
        caller.organization_id,
        split or Split.MODEL,
        first=period.first,
        last=period.last,
        most=MOST_NAMES,
        user_id=await _only_user(tx, caller),
    )
    lines = _lines(found, groups, has_names=split is not None) if groups else []
    keys = sorted({line.name for line in lines if line.name}) if split is Split.KEY else []
    return Usage(
        period=period,
        groups=groups,
        lines=lines,
        total=sum((one.spend for one in found), Spend()),
        key_names=await api_keys.name_keys(tx, caller.organization_id, keys) if keys else {},
        is_complete=not await spend_days.is_summing_up(tx, caller.organization_id),
    )


async def _only_user(tx: Transaction, caller: Caller) -> str | None:
    membership = await find_membership(tx, caller.organization_id, caller.user_id)
    sees_all = membership is not None and MembershipRole(membership.role) is not MembershipRole.MEMBER
    return None if sees_all else caller.user_id


def _lines(found: Sequence[SpendOfDay], groups: Sequence[Group], *, has_names: bool) -> list[Line]:
    lines: dict[tuple[date | None, str | None], Line] = {}
    for one in found:
        day = one.day if Group.DAY in groups else None
        name = one.name if has_names else None
        others = one.others if has_names and one.name is None else 0
        before = lines.get((day, name))
        spend = before.spend + one.spend if before else one.spend
        lines[day, name] = Line(day, name, others, spend)
    return sorted(lines.values(), key=lambda line: (line.day or date.min, -line.spend.amount, line.name or ""))
