"""The steps of a turn, made from nothing but what is stored."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from app.admin.sessions.turn_rows import AttemptRow, ContentRow, EntryRow, EventRow, HoldRow, TurnRows
from app.admin.sessions.turn_takes import takes_of
from app.admin.sessions.waterfall import waterfall_of

BEGAN = datetime(2026, 11, 28, 15, 30, tzinfo=UTC)
TURN, REFERENCE = "turn-1", "turn:turn-1"
CONTENT = uuid.UUID(int=7)


def at(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def hold(ended: float | None = 10, **fields: Any) -> HoldRow:
    values = {"request_id": "req", "agent": "host", "model": "m", "api_key_id": None, "state": "settled"} | fields
    return HoldRow(REFERENCE, TURN, created_at=BEGAN, ended_at=None if ended is None else at(ended),
                   amount=Decimal(1), charged=Decimal("0.5"), **values)  # fmt: skip


def call(number: int, begin: float | None, end: float | None, tokens: int | None = 5) -> EventRow:
    return EventRow(
        call_id=f"{REFERENCE}:{number}", hold_reference=REFERENCE, kind="model_call", agent="host", model="m",
        prompt_tokens=tokens, completion_tokens=tokens, predict_time=None, outputs=None, is_estimated=False,
        cost=Decimal("0.1"), began_at=None if begin is None else at(begin), first_token_at=None,
        ended_at=None if end is None else at(end),
    )  # fmt: skip


def content(completed: float | None) -> ContentRow:
    return ContentRow(
        CONTENT, TURN, "sdxl", "completed" if completed else "processing", "image" if completed else None, "token", 1,
        None, Decimal("0.3") if completed else None, at(2), at(completed) if completed else None,
    )  # fmt: skip


def attempt(number: int, created: float, started: float | None, ended: float | None, ending: str | None) -> AttemptRow:
    error = "CUDA out of memory" if ending == "failed" else None
    began, end = (None if each is None else at(each) for each in (started, ended))
    return AttemptRow(CONTENT, number, at(created), began, end, ending, error, f"generation:{CONTENT}:{number}")


def rows(**fields: Any) -> TurnRows:
    empty: dict[str, Any] = {name: [] for name in TurnRows.__dataclass_fields__}
    return TurnRows(**(empty | {"holds": [hold()]} | fields))


def test_calls_contents_attempts_and_waits_in_their_order() -> None:
    stored = rows(
        events=[call(1, 0.1, 2), call(2, 8, 9.5)],
        contents=[content(7.9)],
        attempts=[attempt(0, 2, 2.2, 3, "failed"), attempt(1, 5, 5, 7.9, "completed")],
    )

    shown = waterfall_of(TURN, stored, at(99))

    assert shown is not None
    assert [(step.kind, step.name, step.depth) for step in shown.steps] == [
        ("wait", "Before the first call", 0),
        ("model", "Model call 1", 0),
        ("made", "image", 0),
        ("wait", "Waiting to start", 1),
        ("failed", "Attempt 1", 1),
        ("wait", "Pause before retry", 1),
        ("attempt", "Attempt 2", 1),
        ("wait", "Between calls", 0),
        ("model", "Model call 2", 0),
        ("wait", "Until it was charged", 0),
    ]
    assert shown.seconds == shown.length == 10
    assert all(step.bar and step.bar.left + step.bar.width <= 100.01 for step in shown.steps)


def test_what_is_not_stored_has_no_time_and_no_bar() -> None:
    shown = waterfall_of(TURN, rows(events=[call(1, None, None, tokens=None)]), at(99))

    assert shown is not None
    (step,) = [step for step in shown.steps if step.kind == "model"]
    assert (step.seconds, step.bar, step.prompt_tokens) == (None, None, None)
    assert "not used" in step.detail


def test_a_turn_that_runs_ends_now() -> None:
    stored = rows(holds=[hold(None, state="open")], events=[call(1, 0, 1)], contents=[content(None)],
                  attempts=[attempt(0, 2, 2, None, None)])  # fmt: skip

    shown = waterfall_of(TURN, stored, at(4))

    assert shown is not None
    assert shown.is_running
    assert shown.seconds == 4
    assert [step.end for step in shown.steps if step.is_running] == [4, 4]


def test_contents_may_outlive_their_turn() -> None:
    shown = waterfall_of(TURN, rows(contents=[content(100)]), at(200))

    assert shown is not None
    assert (shown.seconds, shown.length) == (10, 100)


def test_costs_are_those_of_the_ledger() -> None:
    amounts = {REFERENCE: "-0.2", f"generation:{CONTENT}:1": "-0.3", f"late:{REFERENCE}:2": "-0.05",
               f"superseded:{REFERENCE}": "0.1", "turn:turn-10": "-9", "generation:another:0": "-9"}  # fmt: skip
    entries = [EntryRow("charge", name, Decimal(amount)) for name, amount in amounts.items()]
    stored = rows(entries=entries, contents=[content(5)], events=[call(1, 0, 1)])

    shown = waterfall_of(TURN, stored, at(20))

    assert shown is not None
    assert shown.cost == Decimal("0.45")
    assert shown.entries == list(amounts)[:4]
    assert takes_of(stored)[TURN].cost == Decimal("0.45")
    assert takes_of(stored)[TURN].tokens == 10


def test_a_turn_of_an_older_version_has_none() -> None:
    assert waterfall_of(TURN, rows(holds=[]), at(1)) is None


def test_the_scale_is_round() -> None:
    shown = waterfall_of(TURN, rows(holds=[hold(23.9)]), at(99))

    assert shown is not None
    assert [tick.label for tick in shown.ticks] == ["0 s", "5 s", "10 s", "15 s", "20 s"]
