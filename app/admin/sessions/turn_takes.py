"""What turns have taken: their time, tokens and credits. Pure functions over what is stored."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.admin.sessions.turn_rows import ContentRow, HoldRow, TurnRows
from app.credits.references import turn_reference


@dataclass(frozen=True)
class TurnTake:
    """What a turn has taken.

    Attributes:
        cost: credits, with what it has made.
        seconds: how long it has run; None while it runs.
        tokens: of all its model calls.
    """

    cost: Decimal
    seconds: float | None
    tokens: int
    agent: str | None
    is_running: bool


def takes_of(rows: TurnRows) -> dict[str, TurnTake]:
    """What each turn has taken, by its id."""
    contents: defaultdict[str, list[ContentRow]] = defaultdict(list)
    for content in rows.contents:
        contents[content.turn_id].append(content)
    return {
        hold.turn_id: _take(hold, rows, contents[hold.turn_id])
        for hold in rows.holds
        if hold.turn_id is not None and hold.reference == turn_reference(hold.turn_id)
    }


def _take(hold: HoldRow, rows: TurnRows, contents: Sequence[ContentRow]) -> TurnTake:
    calls = [event for event in rows.events if event.hold_reference == hold.reference]
    return TurnTake(
        cost=-sum((e.amount for e in rows.entries if is_of(e.reference, hold.reference, contents)), Decimal(0)),
        seconds=None if hold.ended_at is None else max(0.0, (hold.ended_at - hold.created_at).total_seconds()),
        tokens=sum((event.prompt_tokens or 0) + (event.completion_tokens or 0) for event in calls),
        agent=hold.agent,
        is_running=hold.ended_at is None,
    )


def is_of(entry: str, turn: str, contents: Sequence[ContentRow]) -> bool:
    """Whether a ledger entry is of the turn, or of what it has made."""
    kind, _, named = entry.partition(":")
    named = named if kind in {"late", "superseded"} else entry
    made = tuple(f"generation:{content.id}:" for content in contents)
    return named == turn or named.startswith((f"{turn}:", *made))
