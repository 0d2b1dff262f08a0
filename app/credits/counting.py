"""What the metrics say of credits. It is counted after the commit, each by the process that has made it."""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial

from app.core.metrics import HELD_CREDITS, HOLDS, HOLDS_REFUSED, METERED_CREDITS, METERING_EVENTS, ByName
from app.credits.metering import MeteredUse
from app.credits.models import EventKind


class _Series:
    """What is counted of one kind of use and one model."""

    def __init__(self, kind: EventKind, model: str) -> None:
        labels = (kind.value, model)
        self.holds, self.held = HOLDS.labels(*labels), HELD_CREDITS.labels(*labels)
        self.events, self.cost = METERING_EVENTS.labels(*labels), METERED_CREDITS.labels(*labels)


_SERIES = {kind: ByName(partial(_Series, kind)) for kind in EventKind}
_REFUSED = {kind: HOLDS_REFUSED.labels(kind.value) for kind in EventKind}


def count_hold(kind: EventKind, model: str, amount: Decimal) -> None:
    """Count a hold of so many credits that was placed for a use of the model."""
    # An agent that only runs others has no model.
    series = _SERIES[kind][model or "none"]
    series.holds.inc()
    series.held.inc(float(amount))


def count_added(kind: EventKind, model: str, amount: Decimal) -> None:
    """Count what was added to an open hold."""
    _SERIES[kind][model].held.inc(float(amount))


def count_refusal(kind: EventKind) -> None:
    """Count an action that could not be paid for."""
    _REFUSED[kind].inc()


def count_uses(uses: Sequence[MeteredUse]) -> None:
    """Count uses that are recorded."""
    for use in uses:
        count_use(use.kind, use.model, use.cost)


def count_use(kind: EventKind, model: str, cost: Decimal) -> None:
    """Count one use that is recorded and costs so many credits."""
    series = _SERIES[kind][model]
    series.events.inc()
    series.cost.inc(float(cost))
