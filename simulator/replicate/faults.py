"""Which faults a request gets: those in the model's name, the drawn one, and those ordered by a rule."""

from collections import Counter
from collections.abc import Set as AbstractSet

from starlette.requests import Request

from simulator.faults.draw import draw_fault, stable_key
from simulator.faults.parsing import PredictionFaults, happens, parse_prediction_faults
from simulator.faults.prediction import AT_CREATION, AT_LISTING, MEASURED, PredictionFault
from simulator.replicate.models import ModelReference
from simulator.replicate.predictions import Prediction
from simulator.state import Simulator, simulator_of
from simulator.wire import Json


def faults_at_creation(request: Request, reference: ModelReference, values: Json) -> PredictionFaults:
    """The faults of a prediction that is about to be made, including those for later requests about it."""
    simulator = simulator_of(request)
    key = stable_key(reference.label, values)
    occurrence = simulator.occurrences.next(key)
    named = {
        fault: number
        for fault, number in reference.faults.items()
        if fault in MEASURED or fault not in AT_CREATION or happens(reference.faults, fault, occurrence)
    }
    drawn = draw_fault(simulator.config.seed, simulator.config.fault_rate, key, occurrence)
    ordered = _ordered(simulator, request, AT_CREATION, reference.model.full_name)
    return {**named, **parse_prediction_faults([drawn] if drawn else []), **ordered}


def faults_at_request(
    request: Request,
    prediction: Prediction,
    possible: AbstractSet[PredictionFault],
    suffered: Counter[PredictionFault],
) -> PredictionFaults:
    """The faults of a request about a prediction that exists.

    Args:
        request: The request.
        prediction: What it is about.
        possible: The faults that can happen to such a request.
        suffered: Counts how often each was due, so that it can pass after so many times.
    """
    due = {fault: number for fault, number in prediction.faults.items() if fault in possible}
    suffered.update(due.keys())
    own = {fault: number for fault, number in due.items() if fault in MEASURED or happens(due, fault, suffered[fault])}
    name = prediction.reference.model.full_name
    return {**own, **_ordered(simulator_of(request), request, possible, name)}


def faults_at_listing(request: Request) -> PredictionFaults:
    """The faults of a request for the list of predictions."""
    return _ordered(simulator_of(request), request, AT_LISTING, "")


def _ordered(
    simulator: Simulator, request: Request, possible: AbstractSet[PredictionFault], model: str
) -> PredictionFaults:
    names = frozenset(fault.value for fault in possible)
    return parse_prediction_faults(simulator.rules.take(names, model=model, path=request.url.path))
