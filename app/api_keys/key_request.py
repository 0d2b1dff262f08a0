from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TypedDict

MOST_PER_MINUTE = 1000
MOST_PER_HOUR = 100_000
MOST_MONTHLY_CREDITS = Decimal(10) ** 11
LONGEST_NAME = 64
LONGEST_DESCRIPTION = 300


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What a new key is to be like.

    Attributes:
        name: what the key is for.
        description: more about it, up to 300 characters.
        scopes: the names of its scopes; the default ones if there is none.
        expires_at: when it stops working; None for never.
        requests_per_minute: its own limit, or None.
        requests_per_hour: its own limit, or None.
        monthly_credits: the most that it may spend in a month in UTC, or None.
    """

    name: str
    description: str = ""
    scopes: Iterable[str] = ()
    expires_at: datetime | None = None
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
    monthly_credits: Decimal | None = None


class KeyChanges(TypedDict, total=False):
    """What is to be different about a key; what is left out stays as it is. For the values, see `KeyRequest`."""

    name: str
    description: str
    scopes: Iterable[str]
    expires_at: datetime | None
    requests_per_minute: int | None
    requests_per_hour: int | None
    monthly_credits: Decimal | None


@dataclass(frozen=True)
class OwnLimits:
    """The highest limits of its own that a key may be given: above its plan's they would mean nothing."""

    requests_per_minute: int
    requests_per_hour: int


def most_own_limits(plan_requests_per_minute: int) -> OwnLimits:
    """The highest own limits of a key whose plan allows so many requests a minute."""
    return OwnLimits(min(plan_requests_per_minute, MOST_PER_MINUTE), min(plan_requests_per_minute * 60, MOST_PER_HOUR))
