from dataclasses import replace

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from simulator.connection import drop, pause
from simulator.faults.parsing import PredictionFaults
from simulator.faults.prediction import PredictionFault
from simulator.log import LogKind
from simulator.replicate.errors import (
    Problem,
    internal_error,
    invalid_version,
    payment_required,
    throttled,
    throttled_short,
    throttled_silent,
    unauthenticated,
)
from simulator.replicate.faults import faults_at_creation
from simulator.replicate.inputs import UnreadableInputError
from simulator.replicate.lifecycle import Interventions, Status
from simulator.replicate.models import ModelReference
from simulator.replicate.outputs import Outputs, make_outputs
from simulator.replicate.plans import make_plan
from simulator.replicate.predictions import Prediction, new_id
from simulator.replicate.requests import CreateRequest, parse_cancel_after, parse_prefer
from simulator.replicate.schemas import prediction_object
from simulator.state import base_url_of, simulator_of
from simulator.wire import GATEWAY_PAGE, Json, JsonResponse

_RETRY_AFTER = 1  # seconds
_OTHER = "simulator/another"
_POLL = 0.02  # seconds between two looks while the caller waits for the end

_REFUSALS = {
    PredictionFault.CREATE_401: unauthenticated,
    PredictionFault.CREATE_402: payment_required,
    PredictionFault.CREATE_422: invalid_version,
    PredictionFault.CREATE_429: lambda: throttled(_RETRY_AFTER, has_header=True),
    PredictionFault.CREATE_429_NO_HEADER: lambda: throttled(_RETRY_AFTER, has_header=False),
    PredictionFault.CREATE_429_SHORT: lambda: throttled_short(_RETRY_AFTER),
    PredictionFault.CREATE_429_SILENT: throttled_silent,
    PredictionFault.CREATE_500: internal_error,
}


async def create_prediction(request: Request, reference: ModelReference, body: CreateRequest) -> Response:
    """Make a prediction and answer with it, or with what its faults say.

    Raises:
        Problem: The request is refused.
        ConnectionCutError: It is accepted, and not answered.
        ClientLeftError: It is accepted, and the client did not wait for the answer.
    """
    faults = faults_at_creation(request, reference, body.values)
    entry = simulator_of(request).log.add(
        LogKind.PREDICTION,
        id=None,
        model=reference.label,
        version=body.version,
        input=body.values,
        webhook=body.webhook,
        cancel_after=request.headers.get("cancel-after"),
        traceparent=request.headers.get("traceparent"),
        faults=sorted(faults),
    )
    try:
        response = await _create(request, reference, body, faults, entry)
    except Problem as problem:
        entry["status"] = problem.status
        raise
    entry["status"] = response.status_code
    return response


async def _create(
    request: Request, reference: ModelReference, body: CreateRequest, faults: PredictionFaults, entry: Json
) -> Response:
    if PredictionFault.CREATE_502_HTML in faults:
        return HTMLResponse(GATEWAY_PAGE, 502)
    for fault, refusal in _REFUSALS.items():
        if fault in faults:
            raise refusal()
    prediction = await _make(request, reference, body, faults)
    entry["id"] = prediction.id
    if PredictionFault.CREATE_ACCEPT_THEN_DROP in faults:
        await drop(request)
    if PredictionFault.CREATE_ACCEPT_THEN_TIMEOUT in faults:
        await pause(request, None)
    return await _answer(request, prediction)


async def _make(
    request: Request, reference: ModelReference, body: CreateRequest, faults: PredictionFaults
) -> Prediction:
    simulator = simulator_of(request)
    deadline = parse_cancel_after(request.headers.get("cancel-after"))
    base_url = base_url_of(request)
    plan = make_plan(reference.model.medium, body.values, faults, speed=simulator.config.speed)
    try:
        outputs = await make_outputs(reference.model, body.values, faults, base_url=base_url, media=simulator.media)
    except UnreadableInputError as error:
        outputs, plan = Outputs([], None), replace(plan, outcome=Status.FAILED, error=str(error))
    prediction = Prediction(
        id=new_id(),
        reference=replace(reference, label=_OTHER) if PredictionFault.OTHER_MODEL in faults else reference,
        values=body.values,
        faults=faults,
        plan=plan,
        outputs=outputs,
        base_url=base_url,
        created_at=simulator.clock.now(),
        retention=simulator.config.retention,
        webhook=body.webhook,
        webhook_events=body.webhook_events,
        interventions=Interventions(deadline=deadline),
    )
    simulator.predictions.add(prediction)
    simulator.webhooks.schedule(prediction)
    return prediction


async def _answer(request: Request, prediction: Prediction) -> Response:
    wait = parse_prefer(request.headers.get("prefer"))
    is_final = True if wait is None else await _wait_for_output(request, prediction, wait)
    document = prediction_object(prediction, simulator_of(request).clock.now())
    headers = {"Location": document["urls"]["get"]}
    return JsonResponse(document, 201 if is_final else 202, headers=headers)


async def _wait_for_output(request: Request, prediction: Prediction, seconds: float) -> bool:
    """Wait for the end, or for an output that is there before; whether it came in time."""
    clock = simulator_of(request).clock
    patience = clock.now() + seconds
    while clock.now() < patience:
        if prediction.progress(clock.now()).is_terminal or prediction.has_early_output(clock.now()):
            return True
        await pause(request, _POLL)
    return False
