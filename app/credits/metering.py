from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from typing import Any, Final, Self

from app.core.json import storable_json
from app.credits.models import EventKind

# Of model calls.
_QUANTITIES: Final = ("prompt_tokens", "completion_tokens", "delivered_bytes")


@dataclass(frozen=True, kw_only=True)
class MeteredUse:
    """What one model call or one generation used, and what it costs: the content of a metering event.

    A call that was free is recorded too: without quantities, at no cost.

    Attributes:
        call_id: names the use, so that it is recorded once however often it is written.
        kind: what was used.
        agent: the agent that made the call; None for the one that its hold names.
        model: the model's name in the catalog.
        price_id: the price that `cost` is computed from.
        cost: credits.
        is_estimated: whether the vendor did not report what was used.
        prompt_tokens: of a model call.
        completion_tokens: of a model call.
        delivered_bytes: of a model call: UTF-8 bytes of its answer.
        predict_time: of a generation: seconds.
        outputs: of a generation: files.
        began_at: a moment of the monotonic clock.
        first_token_at: a moment of the monotonic clock.
        ended_at: a moment of the monotonic clock.
    """

    call_id: str
    kind: EventKind
    agent: str | None
    model: str
    price_id: int
    cost: Decimal
    is_estimated: bool = False
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    delivered_bytes: int | None = None
    predict_time: Decimal | None = None
    outputs: int | None = None
    began_at: float | None = None
    first_token_at: float | None = None
    ended_at: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The use as Postgres reads it. Times are seconds ago, so that Postgres's clock decides what time it was."""
        return {
            "call_id": self.call_id,
            "kind": self.kind.value,
            "agent": self.agent,
            "model": self.model,
            "price_id": self.price_id,
            "cost": str(self.cost),
            "is_estimated": self.is_estimated,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "delivered_bytes": self.delivered_bytes,
            "predict_time": None if self.predict_time is None else str(self.predict_time),
            "outputs": self.outputs,
            "began_ago": _seconds_since(self.began_at),
            "first_token_ago": _seconds_since(self.first_token_at),
            "ended_ago": _seconds_since(self.ended_at),
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """The use of another process that `to_json` has made this of. When it was is not known any more."""
        names = ("call_id", "agent", "model", "price_id", "is_estimated", *_QUANTITIES)
        known = {name: stored[name] for name in names}
        return cls(kind=EventKind(stored["kind"]), cost=Decimal(stored["cost"]), **known)


@dataclass(frozen=True)
class Settlement:
    """How a hold ended, in credits.

    Attributes:
        held: what was held.
        cost: what its metering events cost.
        charged: what was charged: the cost, or less if not even what was available covered it.
    """

    held: Decimal
    cost: Decimal
    charged: Decimal


def events_json(uses: Sequence[MeteredUse]) -> str:
    """The uses as one JSON array."""
    return storable_json([use.to_json() for use in uses])


def _seconds_since(moment: float | None) -> float | None:
    return None if moment is None else monotonic() - moment
