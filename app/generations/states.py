"""The life of a generation: its states, the SQL condition of each, and every step between them."""

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    """What the API shows of a generation's state."""

    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"


UNENDED = (Status.PENDING, Status.PROCESSING)
ENDED = (Status.COMPLETED, Status.FAILED)


class State(StrEnum):
    """A finer state than `Status`: `pending` and `processing` are divided by what the generation waits for."""

    PARKED = "parked"  # for its organization's turn, outside the queue
    PENDING = "pending"  # for free capacity in a worker
    STARTING = "starting"  # for the vendor's response to the create call
    RUNNING = "running"  # for the vendor to finish
    COPYING = "copying"  # for its outputs to be stored
    COMPLETED = "completed"
    FAILED = "failed"


# A processing row is never parked; the condition says so to let Postgres use the indexes of rows that are not parked.
PROCESSING = "status = 'processing' AND NOT is_parked"

# Conditions on a row of `generations`, for the queries that claim and end generations.
CONDITIONS = MappingProxyType(
    {
        State.PARKED: "status = 'pending' AND is_parked",
        State.PENDING: "status = 'pending' AND NOT is_parked",
        State.STARTING: f"{PROCESSING} AND prediction_id IS NULL AND outcome IS NULL",
        State.RUNNING: f"{PROCESSING} AND prediction_id IS NOT NULL AND outcome IS NULL",
        State.COPYING: f"{PROCESSING} AND outcome IS NOT NULL",
        State.COMPLETED: "status = 'completed'",
        State.FAILED: "status = 'failed'",
    }
)


@dataclass(frozen=True)
class Transition:
    """One step: the function of this package that makes it, and the states it leads from and to.

    `before` is None if the step inserts the row.
    """

    step: str
    before: State | None
    after: State


TRANSITIONS = (
    Transition("request_generation", None, State.PENDING),
    Transition("request_generation", None, State.PARKED),
    Transition("unpark", State.PARKED, State.PENDING),
    Transition("claim_starts", State.PENDING, State.STARTING),
    Transition("claim_starts", State.PENDING, State.PARKED),
    Transition("postpone", State.STARTING, State.PENDING),
    Transition("accept_plain", State.STARTING, State.RUNNING),
    Transition("set_prediction", State.STARTING, State.RUNNING),
    Transition("note_callback", State.STARTING, State.RUNNING),
    Transition("set_outcomes", State.RUNNING, State.COPYING),
    Transition("complete", State.COPYING, State.COMPLETED),
    Transition("fail_claimed", State.STARTING, State.FAILED),
    Transition("fail_claimed", State.COPYING, State.FAILED),
    Transition("fail_running", State.RUNNING, State.FAILED),
    *(
        Transition("fail_late", before, State.FAILED)
        for before in (State.PARKED, State.PENDING, State.STARTING, State.RUNNING, State.COPYING)
    ),
    Transition("retry", State.FAILED, State.PENDING),
    Transition("retry", State.FAILED, State.PARKED),
)


def diagram() -> str:
    """The states and steps as a Mermaid state diagram, as docs/architecture.md shows it."""
    lines = ["stateDiagram-v2"]
    for transition in TRANSITIONS:
        before = transition.before or "[*]"
        lines.append(f"    {before} --> {transition.after}: {transition.step}")
    lines += [f"    {state} --> [*]" for state in (State.COMPLETED, State.FAILED)]
    return "\n".join(lines)
