"""What the pages of keys say of them: words, marks, and the chart of a key's use."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from app.admin.charts_bands import BandChart, Figure, Series, band_chart
from app.admin.filters import count, plain_money, quantity, short_money
from app.admin.keys.queries import FoundKey, KeyRow, UsageDay
from app.api_keys.key_state import KeyState, key_state
from app.api_keys.scopes import DEFAULT_SCOPES, Scope

# A key that ends sooner than this is marked.
_SOON = timedelta(days=7)
_SECONDS_OF_A_DAY = 86_400
_SECONDS_OF_AN_HOUR = 3600

SCOPE_WORDS = {
    Scope.ORCHESTRATOR_INVOKE: "Chat with the orchestrator",
    Scope.AGENTS_LIST: "See the agents and their settings",
    Scope.AGENTS_INVOKE: "Run one agent directly",
    Scope.SESSIONS_READ: "Read the conversations of whoever made the key",
    Scope.CONTENT_READ: "See pictures, videos, sounds and 3D models",
    Scope.CONTENT_RETRY: "Run failed content again, at the usual price",
    Scope.CONTENT_GENERATE: "Make images and speech without an agent, at the usual price",
    Scope.USAGE_READ: "See what was used, and what it has cost",
    Scope.WEBHOOKS_MANAGE: "Decide where events are sent. Works only for keys of owners and admins",
}

# So few days of use are told in a table: a chart of them would be nearly empty.
FEW_DAYS: Final = 3


@dataclass(frozen=True)
class Mark:
    """The state of a key: the kind of its shape, and its word."""

    kind: str
    word: str


@dataclass(frozen=True)
class ScopeChoice:
    """A scope that can be ticked, with what it allows."""

    name: str
    words: str
    is_default: bool


@dataclass(frozen=True)
class UsageTotals:
    """What a key has used in 30 days."""

    requests: int
    prompt_tokens: int
    completion_tokens: int
    credits: Decimal

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


def scope_choices() -> Sequence[ScopeChoice]:
    """Every scope, in the order of the documentation."""
    return [ScopeChoice(scope.value, SCOPE_WORDS[scope], scope in DEFAULT_SCOPES) for scope in Scope]


def can_rotate(key: KeyRow, at: datetime) -> bool:
    """Whether another key may replace this one."""
    return key_state(key, at) is KeyState.ACTIVE


def can_change(key: KeyRow, at: datetime) -> bool:
    """Whether the key can be changed, or revoked: its time is not over."""
    return key_state(key, at) in {KeyState.ACTIVE, KeyState.ROTATED}


def ends_at(key: KeyRow) -> datetime | None:
    """When the key stops, or has stopped, working: it expires, is revoked, or its overlap is over."""
    return min((moment for moment in (key.expires_at, key.revoked_at) if moment is not None), default=None)


def mark_of(key: KeyRow, at: datetime, *, is_used: bool) -> Mark:
    """The state of a key at a moment. `is_used`: it was charged, even if its last use is not stored yet."""
    state = key_state(key, at)
    if state in {KeyState.REVOKED, KeyState.EXPIRED}:
        return Mark("off", state.capitalize())
    if not key.is_maker_here:
        return Mark("off", "Maker removed")
    if key.maker_suspended_at is not None:
        return Mark("off", "Maker suspended")
    ends = ends_at(key)
    if ends is not None and ends - at < _SOON:
        return Mark("look", f"Ends in {_span(ends - at)}")
    return Mark("ok", "Active") if key.last_used_at or is_used else Mark("wait", "Never used")


def _span(left: timedelta) -> str:
    seconds = left.total_seconds()
    if seconds >= 2 * _SECONDS_OF_A_DAY:
        return quantity(int(seconds // _SECONDS_OF_A_DAY), "day")
    if seconds >= _SECONDS_OF_AN_HOUR:
        return quantity(int(seconds // _SECONDS_OF_AN_HOUR), "hour")
    return quantity(max(1, int(seconds // 60)), "minute")


def scope_tags(scopes: Sequence[str]) -> Sequence[str]:
    """The scopes of a key, the default ones as one if it has all of them."""
    if not set(DEFAULT_SCOPES) <= set(scopes):
        return list(scopes)
    return [f"{len(DEFAULT_SCOPES)} defaults", *(scope for scope in scopes if scope not in DEFAULT_SCOPES)]


def limits_in_words(key: KeyRow) -> Sequence[str]:
    """The limits of a key's own, each with its time; none if there is only the plan's."""
    limits = ((key.requests_per_minute, "a minute"), (key.requests_per_hour, "an hour"))
    cap = [f"{short_money(key.monthly_credits)} credits a month"] if key.monthly_credits else []
    return [*(f"{count(number)} {time}" for number, time in limits if number is not None), *cap]


def left_of(key: FoundKey) -> Decimal:
    """What is left of a key's credits of this month; 0 without a limit."""
    return max((key.monthly_credits or Decimal(0)) - key.spent_this_month - key.held, Decimal(0))


def cap_percent(key: FoundKey) -> int:
    """How much of a key's credits of this month is spent or held."""
    most = key.monthly_credits or Decimal(0)
    return int(100 * (most - left_of(key)) / most) if most else 0


def totals_of(days: Sequence[UsageDay]) -> UsageTotals:
    """The sums of all days."""
    return UsageTotals(
        requests=sum(day.requests for day in days),
        prompt_tokens=sum(day.prompt_tokens for day in days),
        completion_tokens=sum(day.completion_tokens for day in days),
        credits=sum((day.credits for day in days), Decimal(0)),
    )


def days_of_use(days: Sequence[UsageDay]) -> list[UsageDay]:
    """The days on which anything was used."""
    return [day for day in days if day.requests or day.tokens or day.credits]


def usage_chart(days: Sequence[UsageDay]) -> BandChart:
    """Requests, tokens and credits of each day in bands."""
    return band_chart(
        days[0].day,
        [
            Series("Requests", [day.requests for day in days], "k6", _whole),
            Series("Tokens", [day.tokens for day in days], "k6", _whole),
            Series("Credits", [day.credits for day in days], "k1", _plain),
        ],
    )


def short_count(number: int) -> str:
    """A large number in three figures or so: `9,812`, `27.9 M`."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= 10 * size or (unit != "k" and number >= size):
            return f"{number / size:,.1f} {unit}"
    return count(number)


def day_in_words(day: UsageDay) -> str:
    """What a day's column says."""
    requests, tokens = quantity(day.requests, "request"), quantity(day.tokens, "token")
    return f"{day.day.day} {day.day:%b}: {requests}, {tokens}, {plain_money(day.credits)} credits"


def _whole(number: Figure) -> str:
    return short_count(int(number))


def _plain(number: Figure) -> str:
    return f"{Decimal(number).normalize():,f}"
