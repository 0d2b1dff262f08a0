"""What a turn has done and when, as a table with bars: pure functions over what is stored, and nothing but that."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from math import ceil, floor, log10
from typing import Final

from app.admin.prose import cut
from app.admin.sessions.turn_rows import AttemptRow, ContentRow, EventRow, HoldRow, TurnRows
from app.admin.sessions.turn_steps import Bar, Step, Tick, Waterfall
from app.admin.sessions.turn_takes import is_of
from app.credits.references import turn_reference

# In seconds. A shorter pause is no step of its own.
_LEAST_PAUSE: Final = 0.05
_MOST_TICKS: Final = 6
_LEAST_WIDTH: Final = 0.35
_MOST_STEPS: Final = 200


def waterfall_of(turn_id: str, rows: TurnRows, now: datetime) -> Waterfall | None:
    """The turn, if anything of it is stored beside its messages: those of older versions have no hold."""
    reference = turn_reference(turn_id)
    hold = next((hold for hold in rows.holds if hold.reference == reference), None)
    if hold is None:
        return None
    calls = [event for event in rows.events if event.hold_reference == reference]
    contents = [content for content in rows.contents if content.turn_id == turn_id]
    steps = _model_steps(calls, hold) + _contents_steps(contents, rows, hold, now)
    steps = _with_waits(steps, hold, now)
    ended = hold.ended_at or now
    length = max([_after(hold, ended), *(step.end for step in steps if step.end is not None), 0.001])
    placed = [_placed(step, length) for step in _in_order(steps)]
    return Waterfall(
        turn_id=turn_id,
        began_at=hold.created_at,
        seconds=_after(hold, ended),
        length=length,
        is_running=hold.ended_at is None,
        outcome=hold.state,
        cost=-sum((entry.amount for entry in rows.entries if is_of(entry.reference, reference, contents)), Decimal(0)),
        prompt_tokens=sum(event.prompt_tokens or 0 for event in calls),
        completion_tokens=sum(event.completion_tokens or 0 for event in calls),
        model_calls=len(calls),
        request_id=hold.request_id,
        agent=hold.agent,
        api_key_id=hold.api_key_id,
        entries=[entry.reference for entry in rows.entries if is_of(entry.reference, reference, contents)],
        steps=placed[:_MOST_STEPS],
        ticks=_ticks(length),
        left_out=max(0, len(placed) - _MOST_STEPS),
    )


def _model_steps(calls: Sequence[EventRow], hold: HoldRow) -> list[Step]:
    return [
        Step(
            kind="model",
            depth=0,
            name=f"Model call {number}",
            detail=_call_detail(event, hold),
            prompt_tokens=event.prompt_tokens,
            completion_tokens=event.completion_tokens,
            is_estimated=event.is_estimated,
            cost=event.cost,
            begin=_moment(hold, event.began_at),
            end=_moment(hold, event.ended_at),
        )
        for number, event in enumerate(calls, 1)
    ]


def _call_detail(event: EventRow, hold: HoldRow) -> str:
    words = [cut(event.agent or hold.agent or "", 64), cut(event.model or "", 64)]
    if event.began_at and event.first_token_at:
        words.append(f"first words after {_seconds(event.first_token_at, event.began_at):.2f} s")
    if event.completion_tokens is None:
        words.append("not used")
    return " · ".join(word for word in words if word)


def _contents_steps(contents: Sequence[ContentRow], rows: TurnRows, hold: HoldRow, now: datetime) -> list[Step]:
    attempts: defaultdict[uuid.UUID, list[AttemptRow]] = defaultdict(list)
    for attempt in rows.attempts:
        attempts[attempt.generation_id].append(attempt)
    events = {event.hold_reference: event for event in rows.events}
    steps: list[Step] = []
    for content in contents:
        steps.append(
            Step(
                kind="made",
                depth=0,
                name=content.content_type or "Content",
                detail=cut(content.model, 80),
                content_id=str(content.id),
                cost=content.credit_cost,
                begin=_moment(hold, content.created_at),
                end=_moment(hold, content.completed_at or now),
                is_running=content.completed_at is None,
            )
        )
        steps += _attempt_steps(content, attempts[content.id], events, hold, now)
    return steps


def _attempt_steps(
    content: ContentRow,
    attempts: Sequence[AttemptRow],
    events: Mapping[str, EventRow],
    hold: HoldRow,
    now: datetime,
) -> list[Step]:
    steps: list[Step] = []
    former: AttemptRow | None = None
    for attempt in attempts:
        if former and former.ended_at and _seconds(attempt.created_at, former.ended_at) >= _LEAST_PAUSE:
            steps.append(_pause("Pause before retry", former.ended_at, attempt.created_at, hold, content))
        if attempt.started_at and _seconds(attempt.started_at, attempt.created_at) >= _LEAST_PAUSE:
            steps.append(_pause("Waiting to start", attempt.created_at, attempt.started_at, hold, content))
        began = attempt.started_at or attempt.created_at
        steps.append(
            Step(
                kind="failed" if attempt.ending == "failed" else "attempt",
                depth=1,
                name=f"Attempt {attempt.number + 1}",
                detail=_attempt_detail(attempt, events.get(attempt.reference)),
                content_id=str(content.id),
                begin=_moment(hold, began),
                end=_moment(hold, attempt.ended_at or now),
                is_running=attempt.ended_at is None,
            )
        )
        former = attempt
    return steps


def _attempt_detail(attempt: AttemptRow, event: EventRow | None) -> str:
    if attempt.error_message:
        return f"Failed: {cut(attempt.error_message, 200)}"
    if event is not None and event.predict_time is not None:
        return f"ran {event.predict_time.normalize():f} s at the vendor"
    return ""


def _pause(name: str, begin: datetime, end: datetime, hold: HoldRow, content: ContentRow) -> Step:
    return Step(
        kind="wait",
        depth=1,
        name=name,
        content_id=str(content.id),
        begin=_moment(hold, begin),
        end=_moment(hold, end),
    )


def _with_waits(steps: list[Step], hold: HoldRow, now: datetime) -> list[Step]:
    """The steps, and the pauses in which neither a model was called nor anything made: tools, and the storing."""
    spans = sorted((step.begin, step.end) for step in steps if step.begin is not None and step.end is not None)
    end_of_turn = _after(hold, hold.ended_at or now)
    waits: list[Step] = []
    reached = 0.0
    for begin, end in spans:
        if begin - reached >= _LEAST_PAUSE:
            waits.append(_wait("Before the first call" if not reached else "Between calls", reached, begin))
        reached = max(reached, end)
    # While the turn runs, a call is recorded once the next one is opened.
    if end_of_turn - reached >= _LEAST_PAUSE:
        is_running = hold.ended_at is None
        name = "Not recorded yet" if is_running else "Until it was charged"
        waits.append(_wait(name, reached, end_of_turn, is_running=is_running))
    return [*steps, *waits]


def _wait(name: str, begin: float, end: float, *, is_running: bool = False) -> Step:
    return Step(kind="wait", depth=0, name=name, begin=begin, end=end, is_running=is_running)


def _in_order(steps: Sequence[Step]) -> list[Step]:
    """The steps as they began, each content with its attempts below it."""
    begun = {step.content_id: step.begin for step in steps if step.kind == "made"}

    def order(step: Step) -> tuple[bool, float, str, int, float]:
        begin = begun.get(step.content_id, step.begin) if step.content_id else step.begin
        return begin is None, begin or 0.0, step.content_id or "", step.depth, step.begin or 0.0

    return sorted(steps, key=order)


def _placed(step: Step, length: float) -> Step:
    if step.begin is None or step.end is None:
        return step
    left = 100 * min(step.begin, length) / length
    width = max(_LEAST_WIDTH, 100 * (step.end - step.begin) / length)
    bar = Bar(round(min(left, 100 - _LEAST_WIDTH), 2), round(min(width, 100 - min(left, 100 - _LEAST_WIDTH)), 2))
    return Step(**{**vars(step), "bar": bar})


def _ticks(length: float) -> list[Tick]:
    """Round moments at even distances."""
    rough = length / _MOST_TICKS
    power = 10.0 ** floor(log10(rough))
    distance = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)
    count = min(_MOST_TICKS, ceil(length / distance) - 1)
    return [
        Tick(at=round(100 * index * distance / length, 2), label=_tick_label(index * distance), is_first=index == 0)
        for index in range(count + 1)
    ]


def _tick_label(seconds: float) -> str:
    if seconds and seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.3g} min"


def _moment(hold: HoldRow, at: datetime | None) -> float | None:
    return None if at is None else _after(hold, at)


def _after(hold: HoldRow, at: datetime) -> float:
    # The two are read from the clock at different times, so that one may seem to come before the beginning.
    return max(0.0, _seconds(at, hold.created_at))


def _seconds(later: datetime, earlier: datetime) -> float:
    return (later - earlier).total_seconds()
