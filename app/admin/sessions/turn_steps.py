"""A turn's steps on one scale of time: the values that a waterfall shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True)
class Bar:
    """A bar on the turn's scale, in percent of its width."""

    left: float
    width: float


@dataclass(frozen=True)
class Tick:
    """A line of the scale, in percent of its width, and the moment that it stands for."""

    at: float
    label: str
    is_first: bool


@dataclass(frozen=True)
class Step:
    """A row of the table.

    Attributes:
        kind: `model`, `made`, `attempt`, `failed` or `wait`.
        depth: how far it is indented.
        name: what it is.
        detail: more of it, small.
        content_id: the content that it leads to.
        prompt_tokens: of a model call that has been used.
        cost: credits; None if it has none of its own.
        begin: seconds after the turn's beginning; None if it is not stored.
        end: the same; of what still runs, now.
        is_running: whether it has not ended.
        bar: where it is on the scale.
    """

    kind: str
    depth: int
    name: str
    detail: str = ""
    content_id: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    is_estimated: bool = False
    cost: Decimal | None = None
    begin: float | None = None
    end: float | None = None
    is_running: bool = False
    bar: Bar | None = None

    @property
    def seconds(self) -> float | None:
        return None if self.begin is None or self.end is None else max(0.0, self.end - self.begin)


@dataclass(frozen=True)
class Waterfall:
    """A turn.

    Attributes:
        began_at: when credits were held for its first model call.
        seconds: from then until it was charged, or until now.
        cost: what was charged for it and for what it has made, so far.
        steps: its steps in the order in which they began.
        ticks: the lines of the scale.
        left_out: how many steps are not shown.
    """

    turn_id: str
    began_at: datetime
    seconds: float
    length: float
    is_running: bool
    outcome: str
    cost: Decimal
    prompt_tokens: int
    completion_tokens: int
    model_calls: int
    request_id: str | None
    agent: str | None
    api_key_id: str | None
    entries: Sequence[str]
    steps: Sequence[Step]
    ticks: Sequence[Tick]
    left_out: int
