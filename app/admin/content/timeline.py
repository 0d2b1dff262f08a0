"""The attempts of a content on one scale of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.admin.content.detail_queries import AttemptRow

# The narrowest bar that can be seen, in percent of the scale.
_NARROWEST: Final = 0.4
# The shape of each step of an attempt: what it is called, and the colour of its bar.
_COLOURS: Final = {"waited": "k6", "started": "k2", "ran": "k1", "copied": "k3"}
_WORDS: Final = {"waited": "waited", "started": "started", "ran": "ran", "copied": "copied to storage"}


@dataclass(frozen=True)
class Step:
    """One step of an attempt, as a bar: its place and width in percent of the scale."""

    name: str
    words: str
    colour: str
    seconds: float
    x: float
    width: float


@dataclass(frozen=True)
class Attempt:
    """One attempt as the page shows it.

    Attributes:
        row: what is known of it.
        number: counted from 1, as people count.
        state, word: the shape and word of its end, or of its being under way.
        seconds: from its request to its end, or until now.
        steps: its steps in order.
    """

    row: AttemptRow
    number: int
    state: str
    word: str
    seconds: float
    steps: Sequence[Step]

    @property
    def title(self) -> str:
        """The sentence above the bar, without the time it took."""
        return f"Attempt {self.number} {'is under way for' if self.row.ending is None else self._ended}"

    @property
    def _ended(self) -> str:
        return "failed after" if self.row.ending == "failed" else "completed in"


def attempts_of(rows: Sequence[AttemptRow], now: datetime) -> list[Attempt]:
    """The attempts, each with its steps on a scale as long as the longest of them."""
    spans = [_spans(row, now) for row in rows]
    longest = max((sum(seconds for _, seconds in span) for span in spans), default=0) or 1
    return [_attempt_of(row, span, longest) for row, span in zip(rows, spans, strict=True)]


def _attempt_of(row: AttemptRow, spans: Sequence[tuple[str, float]], longest: float) -> Attempt:
    steps, passed = [], 0.0
    for position, (name, seconds) in enumerate(spans):
        is_failed = row.ending == "failed" and position == len(spans) - 1
        is_under_way = row.ending is None and position == len(spans) - 1
        words = _WORDS[name] + (", then failed" if is_failed else " so far" if is_under_way else "")
        width = max(_NARROWEST, 100 * seconds / longest)
        x = min(100 * passed / longest, 100 - width)
        steps.append(Step(name, words, "kb" if is_failed else _COLOURS[name], seconds, round(x, 2), round(width, 2)))
        passed += seconds
    state = {"failed": ("bad", "Failed"), "completed": ("ok", "Completed"), None: ("busy", "Under way")}[row.ending]
    return Attempt(row, row.number + 1, *state, passed, steps)


def _spans(row: AttemptRow, now: datetime) -> list[tuple[str, float]]:
    """The steps that have begun, in order, with their seconds.

    If it was not written down when the vendor had finished, copying counts as running.
    """
    end = row.ended_at or now
    known: list[tuple[str, datetime]] = [("waited", row.created_at)]
    for name, at in (("started", row.sent_at), ("ran", row.answered_at), ("copied", row.finished_at)):
        if at is not None:
            known.append((name, max(known[-1][1], min(at, end))))
    ends = [at for _, at in known[1:]] + [end]
    return [(name, max(0.0, (until - since).total_seconds())) for (name, since), until in zip(known, ends, strict=True)]
