from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from simulator.connection import pause
from simulator.faults.prediction import AT_CANCELING, AT_READING, PredictionFault
from simulator.log import LogKind
from simulator.media.formats import Medium
from simulator.replicate.catalog import model_object, version_object
from simulator.replicate.creation import create_prediction
from simulator.replicate.delivery import deliver
from simulator.replicate.errors import internal_error, not_found, throttled
from simulator.replicate.faults import faults_at_listing, faults_at_request
from simulator.replicate.lifecycle import Interventions, Status
from simulator.replicate.listing import list_predictions
from simulator.replicate.models import SimulatedModel, find_model, resolve_name, resolve_version
from simulator.replicate.predictions import Prediction
from simulator.replicate.requests import check_token, parse_create_request
from simulator.replicate.schemas import prediction_object
from simulator.replicate.streaming import stream_prediction
from simulator.state import simulator_of
from simulator.wire import JsonResponse

_ACCOUNT = {"type": "organization", "username": "simulator", "name": "Simulator", "github_url": None}
_HARDWARE = [
    {"name": "CPU", "sku": "cpu"},
    {"name": "Nvidia T4 GPU", "sku": "gpu-t4"},
    {"name": "Nvidia L40S GPU", "sku": "gpu-l40s"},
    {"name": "Nvidia A100 (80GB) GPU", "sku": "gpu-a100-large"},
    {"name": "Nvidia H100 GPU", "sku": "gpu-h100"},
]
_RETRY_AFTER = 1  # seconds


def replicate_routes() -> list[BaseRoute]:
    """The API under ``/replicate/v1`` and the delivery host's files."""
    api: list[BaseRoute] = [
        Route("/predictions", list_all),
        Route("/predictions", create, methods=["POST"]),
        Route("/predictions/{id}", read),
        Route("/predictions/{id}/cancel", cancel, methods=["POST"]),
        Route("/predictions/{id}/stream", stream),
        Route("/models/{owner}/{name}", read_model),
        Route("/models/{owner}/{name}/predictions", create_by_name, methods=["POST"]),
        Route("/models/{owner}/{name}/versions/{version}", read_version),
        Route("/webhooks/default/secret", read_secret),
        Route("/account", read_account),
        Route("/hardware", list_hardware),
    ]
    return [Mount("/replicate/v1", routes=api), Route("/delivery/{token}/{name}", deliver)]


async def list_all(request: Request) -> Response:
    """List predictions, newest first."""
    check_token(request)
    faults = faults_at_listing(request)
    if PredictionFault.LIST_500 in faults:
        raise internal_error()
    if PredictionFault.LIST_429 in faults:
        raise throttled(_RETRY_AFTER, has_header=True)
    return await list_predictions(request)


async def create(request: Request) -> Response:
    """Create a prediction of the version that the body names."""
    check_token(request)
    body = parse_create_request(await request.body(), has_version=True)
    reference = resolve_version(body.version or "", is_lenient=simulator_of(request).config.is_lenient)
    return await create_prediction(request, reference, body)


async def create_by_name(request: Request) -> Response:
    """Create a prediction of the official model that the path names."""
    check_token(request)
    body = parse_create_request(await request.body(), has_version=False)
    owner, name = request.path_params["owner"], request.path_params["name"]
    reference = resolve_name(owner, name, is_lenient=simulator_of(request).config.is_lenient)
    return await create_prediction(request, reference, body)


async def read(request: Request) -> Response:
    """Read a prediction."""
    check_token(request)
    prediction = _prediction(request)
    faults = faults_at_request(request, prediction, AT_READING, prediction.requests)
    if PredictionFault.GET_500 in faults:
        raise internal_error()
    if PredictionFault.GET_429 in faults:
        raise throttled(_RETRY_AFTER, has_header=True)
    if PredictionFault.GET_SLOW in faults:
        await pause(request, faults[PredictionFault.GET_SLOW])
    return _answer(request, prediction)


async def cancel(request: Request) -> Response:
    """Cancel a prediction; one that has ended stays as it is."""
    check_token(request)
    simulator = simulator_of(request)
    prediction = _prediction(request)
    faults = faults_at_request(request, prediction, AT_CANCELING, prediction.requests)
    now = simulator.clock.now()
    if not prediction.progress(now).is_terminal:
        _end_early(prediction, now, is_too_late=PredictionFault.CANCEL_RACE in faults)
        simulator.webhooks.reschedule(prediction)
    simulator.log.add(LogKind.CANCEL, id=prediction.id, status=prediction.progress(now).status)
    return _answer(request, prediction)


async def stream(request: Request) -> Response:
    """Stream the output of a language model."""
    check_token(request)
    prediction = _prediction(request)
    if prediction.reference.model.medium is not Medium.TEXT:
        raise not_found()
    return stream_prediction(request, prediction)


async def read_model(request: Request) -> Response:
    """Describe a model."""
    check_token(request)
    return JsonResponse(model_object(_model(request)))


async def read_version(request: Request) -> Response:
    """Describe a version of a model."""
    check_token(request)
    model = _model(request)
    if request.path_params["version"] != model.version:
        raise not_found()
    return JsonResponse(version_object(model))


async def read_secret(request: Request) -> Response:
    """Tell the secret that webhooks are signed with."""
    check_token(request)
    return JsonResponse({"key": simulator_of(request).config.webhook_secret})


async def read_account(request: Request) -> Response:
    """Describe the account."""
    check_token(request)
    return JsonResponse(_ACCOUNT)


async def list_hardware(request: Request) -> Response:
    """List hardware."""
    check_token(request)
    return JsonResponse(_HARDWARE)


def _prediction(request: Request) -> Prediction:
    prediction = simulator_of(request).predictions.get(request.path_params["id"])
    if prediction is None:
        raise not_found()
    return prediction


def _model(request: Request) -> SimulatedModel:
    label = f"{request.path_params['owner']}/{request.path_params['name']}"
    model, _ = find_model(label, refusal=not_found())
    return model


def _answer(request: Request, prediction: Prediction) -> Response:
    return JsonResponse(prediction_object(prediction, simulator_of(request).clock.now()))


def _end_early(prediction: Prediction, now: float, *, is_too_late: bool) -> None:
    elapsed = now - prediction.created_at
    if not is_too_late:
        prediction.interventions = replace(prediction.interventions, canceled=elapsed)
        return
    starting = min(prediction.plan.starting, elapsed)
    prediction.plan = replace(prediction.plan, starting=starting, running=elapsed - starting, outcome=Status.SUCCEEDED)
    prediction.interventions = Interventions()
