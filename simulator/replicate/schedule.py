"""When each webhook of a prediction is due: a pure function of its plan and its faults."""

from dataclasses import dataclass

from simulator.faults.parsing import PredictionFaults
from simulator.faults.prediction import PredictionFault
from simulator.replicate.lifecycle import UPLOADED, Status
from simulator.replicate.predictions import Prediction

DEFAULT_EVENTS = ("output", "completed")

_THROTTLE = 0.5  # seconds between two events of a kind while it runs
_MOST_PER_KIND = 20
_REORDERED_GAP = 0.05  # seconds between the events that follow `completed`


@dataclass(frozen=True, slots=True)
class ScheduledEvent:
    """A webhook to come.

    Attributes:
        name: start, output, logs or completed.
        moment: What it reports: the prediction as it is then (seconds since the epoch).
        due: When it is sent.
    """

    name: str
    moment: float
    due: float


def events_of(prediction: Prediction) -> list[ScheduledEvent]:
    """The webhooks of a new prediction, in the order they are sent.

    `is_still_true` later drops those that an intervention made untrue.
    """
    if prediction.webhook is None or PredictionFault.WEBHOOK_LOST in prediction.faults:
        return []
    wanted = prediction.webhook_events or DEFAULT_EVENTS
    moments = sorted((moment, name) for moment, name in _moments(prediction) if name in wanted)
    events = [
        ScheduledEvent(name, moment, _due(prediction, moment, name, place))
        for place, (moment, name) in enumerate(moments)
    ]
    return sorted(events, key=lambda event: event.due)


def completed_event(prediction: Prediction) -> list[ScheduledEvent]:
    """The one webhook that an intervention causes, if it is wanted."""
    return [
        ScheduledEvent("completed", prediction.ends_at, prediction.ends_at + _lateness(prediction.faults))
        for event in events_of(prediction)
        if event.name == "completed"
    ]


def is_still_true(prediction: Prediction, event: ScheduledEvent) -> bool:
    """Whether what the webhook would report did happen."""
    if event.name == "completed":
        return event.moment == prediction.ends_at
    return event.moment < prediction.ends_at


def _moments(prediction: Prediction) -> list[tuple[float, str]]:
    plan = prediction.plan
    completed = (prediction.ends_at, "completed")
    if plan.outcome is Status.ABORTED:
        return [completed]
    started = prediction.created_at + plan.starting
    ticks = range(1, min(int(plan.running / _THROTTLE), _MOST_PER_KIND) + 1)
    logs = [(started + _THROTTLE * tick, "logs") for tick in ticks]
    moments = [(started, "start"), *logs, completed]
    if plan.outcome is Status.SUCCEEDED:
        moments.append((started + plan.running * (UPLOADED + 1) / 2, "output"))
    return moments


def _due(prediction: Prediction, moment: float, name: str, place: int) -> float:
    late = moment + _lateness(prediction.faults)
    if PredictionFault.WEBHOOK_REORDERED in prediction.faults and name != "completed":
        return max(late, prediction.ends_at) + _REORDERED_GAP * (place + 1)
    return late


def _lateness(faults: PredictionFaults) -> float:
    return faults.get(PredictionFault.WEBHOOK_LATE) or 0.0
