"""What state a prediction is in at a given time: a pure function, so that waiting ones cost nothing."""

from dataclasses import dataclass
from enum import StrEnum

LONGEST_RUN = 1800.0
"""Seconds after which Replicate ends a prediction that is still running."""

UPLOADED = 0.9
"""Share of a run after which its files can be fetched: a moment before its status says so."""


class Status(StrEnum):
    """The states that Replicate documents."""

    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a prediction goes if nobody intervenes; decided when it is made.

    Attributes:
        starting: Seconds from creation to start.
        running: Seconds from start to end.
        outcome: How it ends.
        error: What it says when it fails.
    """

    starting: float
    running: float
    outcome: Status
    error: str | None = None

    @property
    def ends(self) -> float:
        """Seconds from creation to end."""
        return self.starting + self.running


@dataclass(frozen=True, slots=True)
class Interventions:
    """What can end a prediction early, in seconds after its creation."""

    canceled: float | None = None
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """The state at one moment.

    Attributes:
        status: One of Replicate's.
        share: How much of the run is done, 0 to 1.
        started: Seconds after creation, if it did start.
        completed: Seconds after creation, if it has ended.
    """

    status: Status
    share: float = 0.0
    started: float | None = None
    completed: float | None = None

    @property
    def is_terminal(self) -> bool:
        """Whether nothing more will happen."""
        return self.completed is not None


def progress_at(plan: Plan, interventions: Interventions, elapsed: float) -> Progress:
    """The state of a prediction.

    Args:
        plan: What was to happen.
        interventions: What came between.
        elapsed: Seconds since its creation.
    """
    stopped = _stopped_at(plan, interventions)
    if stopped is not None and elapsed >= stopped:
        return _stopped(plan, interventions, stopped)
    if elapsed < plan.starting:
        return Progress(Status.STARTING)
    if elapsed < plan.ends:
        return Progress(Status.PROCESSING, (elapsed - plan.starting) / plan.running, plan.starting)
    started = None if plan.outcome is Status.ABORTED else plan.starting
    return Progress(plan.outcome, 1.0, started, plan.ends)


def end_of(plan: Plan, interventions: Interventions) -> float:
    """When it ends, in seconds after its creation."""
    stopped = _stopped_at(plan, interventions)
    return plan.ends if stopped is None else stopped


def _stopped_at(plan: Plan, interventions: Interventions) -> float | None:
    """The first intervention that still found it unfinished."""
    moments = [at for at in (interventions.canceled, interventions.deadline) if at is not None and at < plan.ends]
    return min(moments, default=None)


def _stopped(plan: Plan, interventions: Interventions, at: float) -> Progress:
    if at >= plan.starting:
        return Progress(Status.CANCELED, (at - plan.starting) / plan.running, plan.starting, at)
    status = Status.CANCELED if at == interventions.canceled else Status.ABORTED
    return Progress(status, completed=at)
