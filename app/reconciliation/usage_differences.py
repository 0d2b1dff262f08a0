"""An upstream's usage against what was metered, by day and model: pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import NamedTuple


class UsageKey(NamedTuple):
    """A day in UTC, and a model by its name at the upstream."""

    day: date
    model: str


@dataclass(frozen=True)
class Usage:
    """Tokens and requests. `requests` is None if the upstream does not say how many there were."""

    prompt_tokens: int
    completion_tokens: int
    requests: int | None = None

    def __add__(self, other: "Usage") -> "Usage":
        requests = None if self.requests is None or other.requests is None else self.requests + other.requests
        return Usage(
            self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens, requests
        )


@dataclass(frozen=True)
class UsageDifference:
    """A day and a model for which the upstream's usage and ours differ."""

    key: UsageKey
    billed: Usage
    metered: Usage


_NOTHING = Usage(0, 0, 0)


def compare_usage(
    billed: Mapping[UsageKey, Usage], metered: Mapping[UsageKey, Usage], tolerance: Decimal
) -> list[UsageDifference]:
    """The days and models that differ by more than the tolerance, in order.

    Args:
        billed: what the upstream says was used.
        metered: what the metering events say.
        tolerance: per cent of the larger figure.
    """
    pairs = ((key, billed.get(key, _NOTHING), metered.get(key, _NOTHING)) for key in sorted({*billed, *metered}))
    return [UsageDifference(key, theirs, ours) for key, theirs, ours in pairs if _differ(theirs, ours, tolerance)]


def _differ(billed: Usage, metered: Usage, tolerance: Decimal) -> bool:
    figures = [
        (billed.prompt_tokens, metered.prompt_tokens),
        (billed.completion_tokens, metered.completion_tokens),
    ]
    if billed.requests is not None and metered.requests is not None:
        figures.append((billed.requests, metered.requests))
    return any(abs(theirs - ours) * 100 > max(theirs, ours) * tolerance for theirs, ours in figures)
