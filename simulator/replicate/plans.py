"""How long a prediction takes and how it ends, from its model, input, faults and the simulator's speed."""

from collections.abc import Mapping
from types import MappingProxyType

from simulator.faults.parsing import PredictionFaults
from simulator.faults.prediction import PredictionFault
from simulator.media.formats import Medium
from simulator.replicate.lifecycle import LONGEST_RUN, Plan, Status
from simulator.wire import Json

_STARTING = 0.1  # seconds, warm
_RUNNING: Mapping[Medium, float] = MappingProxyType(
    {
        Medium.IMAGE: 0.3,
        Medium.VIDEO: 0.9,
        Medium.AUDIO: 0.4,
        Medium.GLB: 0.4,
        Medium.OTHER: 0.2,
        Medium.TEXT: 0.4,
        Medium.JSON: 0.2,
    }
)

_OUT_OF_MEMORY = "E1001: out of memory (simulated)"
_UNKNOWN_ERROR = "E1000: unknown error (simulated)"
_TOO_LONG = "Prediction interrupted after 30 minutes (simulated)"


def make_plan(medium: Medium, values: Json, faults: PredictionFaults, *, speed: float) -> Plan:
    """Plan a prediction.

    Args:
        medium: What the model makes.
        values: Its input; ``error`` is the text that a failure says.
        faults: Those that apply to this very prediction.
        speed: Divides the usual durations; those that faults name are used unchanged.
    """
    outcome, error = _outcome(values, faults)
    starting = faults.get(PredictionFault.START_SLOW) or _STARTING / speed
    running = faults.get(PredictionFault.SLOW) or _RUNNING[medium] / speed
    if outcome is Status.ABORTED:
        running = 0.0
    elif PredictionFault.NEVER_ENDS in faults or running >= LONGEST_RUN:
        return Plan(starting, LONGEST_RUN, Status.FAILED, _TOO_LONG)
    return Plan(starting, running, outcome, error)


def _outcome(values: Json, faults: PredictionFaults) -> tuple[Status, str | None]:
    if PredictionFault.FAIL in faults:
        return Status.FAILED, str(values.get("error") or _OUT_OF_MEMORY)
    if PredictionFault.FAIL_TRANSIENT_E1000 in faults:
        return Status.FAILED, _UNKNOWN_ERROR
    if PredictionFault.ABORTED in faults:
        return Status.ABORTED, None
    if PredictionFault.CANCELED in faults:
        return Status.CANCELED, None
    return Status.SUCCEEDED, None
