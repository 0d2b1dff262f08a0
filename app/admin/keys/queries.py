from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Final

from app.core.database import Transaction
from app.credits.key_caps import SPENT_THIS_MONTH
from app.credits.models import EntryKind
from app.credits.references import IS_REQUEST
from app.credits.spend_days import Spend, SpendOfDay, Split, spend_by_day

# Today and the 29 days before it, in UTC.
DAYS: Final = 30

# A key works if its time is not over and its maker is a member who is not suspended.
_ENDED: Final = "coalesce(LEAST(k.expires_at, k.revoked_at) <= now(), false)"
_MAKER_IS_AWAY: Final = "(m.user_id IS NULL OR m.suspended_at IS NOT NULL)"
_CONDITIONS: Final[Mapping[str, str]] = {
    "usable": f"NOT {_ENDED} AND NOT {_MAKER_IS_AWAY}",
    "all": "true",
    "revoked": "k.revoked_at <= now()",
    "expired": "k.expires_at <= now() AND NOT coalesce(k.revoked_at <= now(), false)",
}
STATES: Final = tuple(_CONDITIONS)

_COLUMNS: Final = """
k.id, k.name, k.description, k.prefix, k.scopes, k.requests_per_minute, k.requests_per_hour, k.monthly_credits,
k.created_at, k.expires_at,
k.revoked_at, k.rotated_to, k.last_used_at, k.user_id, u.email AS maker, m.suspended_at AS maker_suspended_at,
m.user_id IS NOT NULL AS is_maker_here
"""
_TABLES: Final = """
FROM api_keys k JOIN users u ON u.id = k.user_id
LEFT JOIN memberships m ON m.organization_id = k.organization_id AND m.user_id = k.user_id
"""
_LIST: Final = """
SELECT {columns} {tables}
WHERE k.organization_id = $1 AND ($2::text IS NULL OR k.user_id = $2) AND {condition}
  AND ($3 = '' OR strpos(lower(k.name), lower($3)) > 0 OR starts_with(k.prefix, left($3, 13)))
  AND ($4::timestamptz IS NULL OR (k.created_at, k.id) < ($4, $5::text))
ORDER BY k.created_at DESC, k.id DESC LIMIT $6
"""
_FIND: Final = f"""
SELECT {_COLUMNS}, replaced.id AS replaces, next.name AS replaced_by_name, coalesce(s.held, 0) AS held,
       coalesce({SPENT_THIS_MONTH}, 0) AS spent_this_month {_TABLES}
LEFT JOIN key_spend s ON s.api_key_id = k.id
LEFT JOIN api_keys replaced ON replaced.organization_id = k.organization_id AND replaced.rotated_to = k.id
LEFT JOIN api_keys next ON next.id = k.rotated_to
WHERE k.organization_id = $1 AND k.id = $2 AND ($3::text IS NULL OR k.user_id = $3)
"""
_PRESENCE: Final = f"""
SELECT EXISTS (SELECT FROM api_keys WHERE organization_id = $1 AND ($2::text IS NULL OR user_id = $2)) AS has_any,
       EXISTS (SELECT {_TABLES} WHERE k.organization_id = $1 AND ($2::text IS NULL OR k.user_id = $2)
               AND ({_ENDED} OR {_MAKER_IS_AWAY})) AS has_hidden
"""
# A chat that was charged, be it with nothing. A run that another one has replaced is not counted twice.
_REQUESTS: Final = f"""
SELECT (l.created_at AT TIME ZONE 'UTC')::date AS day,
       sum(CASE l.kind WHEN '{EntryKind.CHARGE}' THEN 1 ELSE -1 END) AS requests
FROM api_keys k JOIN ledger_entries l ON l.api_key_id = k.id
WHERE k.organization_id = $1 AND k.id = $2 AND l.created_at >= $3::date::timestamp AT TIME ZONE 'UTC' AND ({IS_REQUEST})
GROUP BY 1
"""
_LIMITS: Final = """
SELECT p.name, p.requests_per_minute, p.concurrent_requests
FROM organizations o JOIN plans p ON p.name = o.plan_name WHERE o.id = $1
"""


@dataclass(frozen=True, kw_only=True)
class KeyRow:
    """What is shown of a key.

    Attributes:
        maker: the address of the user who created it.
        maker_suspended_at: since when that user is suspended in the organization, or None.
        is_maker_here: whether that user is a member still.
    """

    id: str
    name: str
    description: str
    prefix: str
    scopes: Sequence[str]
    requests_per_minute: int | None
    requests_per_hour: int | None
    monthly_credits: Decimal | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    rotated_to: str | None
    last_used_at: datetime | None
    user_id: str
    maker: str
    maker_suspended_at: datetime | None
    is_maker_here: bool


@dataclass(frozen=True, kw_only=True)
class FoundKey(KeyRow):
    """One key. `replaces` is the id of the key that it has replaced by rotation; `replaced_by_name` names its own.

    If it has a monthly limit, `held` and `spent_this_month` are what counts against it, in credits.
    """

    replaces: str | None
    replaced_by_name: str | None
    held: Decimal
    spent_this_month: Decimal


@dataclass(frozen=True)
class Selection:
    """Which keys are listed.

    Attributes:
        state: one of `STATES`.
        search: a part of the name, or the beginning of the key.
        user_id: only keys of this user; None for everybody's.
    """

    state: str
    search: str
    user_id: str | None


@dataclass(frozen=True)
class Presence:
    """Whether there is any key, and any that does not work."""

    has_any: bool
    has_hidden: bool


@dataclass(frozen=True)
class UsageDay:
    """What a key has used on one day (UTC)."""

    day: date
    requests: int
    prompt_tokens: int
    completion_tokens: int
    credits: Decimal

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class PlanLimits:
    """The plan of an organization, and what it allows all keys together."""

    name: str
    requests_per_minute: int
    concurrent_requests: int


async def list_keys(
    tx: Transaction, organization_id: str, selection: Selection, after: tuple[datetime, str] | None, limit: int
) -> Sequence[KeyRow]:
    """Keys of the organization, the newest first, after a position in that order."""
    statement = _LIST.format(columns=_COLUMNS, tables=_TABLES, condition=f"({_CONDITIONS[selection.state]})")
    position = after or (None, None)
    rows = await tx.fetch(statement, organization_id, selection.user_id, selection.search, *position, limit)
    return [KeyRow(**row) for row in rows]


async def find_key(tx: Transaction, organization_id: str, key_id: str, *, user_id: str | None) -> FoundKey | None:
    """One key of the organization, and of a user if one is given."""
    row = await tx.fetchrow(_FIND, organization_id, key_id, user_id)
    return FoundKey(**row) if row else None


async def read_presence(tx: Transaction, organization_id: str, *, user_id: str | None) -> Presence:
    """Whether the organization, or a user of it, has any key, and any that does not work."""
    row = await tx.fetchrow(_PRESENCE, organization_id, user_id)
    return Presence(**row) if row else Presence(has_any=False, has_hidden=False)


async def read_spent(
    tx: Transaction, organization_id: str, key_ids: Sequence[str], today: date
) -> Mapping[str, Decimal]:
    """What these keys have spent in the last 30 days, by their ids. One that has spent nothing may be missing."""
    spent: dict[str, Decimal] = {}
    for each in await _spend(tx, organization_id, key_ids, today) if key_ids else ():
        if each.name is not None:
            spent[each.name] = spent.get(each.name, Decimal(0)) + each.spend.amount
    return spent


async def read_usage(tx: Transaction, organization_id: str, key_id: str, today: date) -> Sequence[UsageDay]:
    """What a key has used on each of the last 30 days, the oldest first."""
    first = _first(today)
    spend = {each.day: each.spend for each in await _spend(tx, organization_id, [key_id], today)}
    rows = await tx.fetch(_REQUESTS, organization_id, key_id, first)
    requests = {row["day"]: row["requests"] for row in rows}
    days = [first + timedelta(days=number) for number in range(DAYS)]
    return [_day(day, requests.get(day, 0), spend.get(day, Spend())) for day in days]


async def _spend(tx: Transaction, organization_id: str, key_ids: Sequence[str], today: date) -> Sequence[SpendOfDay]:
    return await spend_by_day(
        tx, organization_id, Split.KEY, first=_first(today), last=today, most=len(key_ids), picked=key_ids
    )


def _first(today: date) -> date:
    return today - timedelta(days=DAYS - 1)


def _day(day: date, requests: int, spend: Spend) -> UsageDay:
    return UsageDay(day, int(requests), int(spend.prompt_tokens), int(spend.completion_tokens), spend.amount)


async def read_plan(tx: Transaction, organization_id: str) -> PlanLimits:
    """The limits of the organization's plan."""
    row = await tx.fetchrow(_LIMITS, organization_id)
    assert row is not None  # noqa: S101 - every organization has a plan
    return PlanLimits(**row)
