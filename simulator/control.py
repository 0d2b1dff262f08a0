"""Requests to the simulator itself, by a test or an operator, under ``/_sim``."""

import re
from dataclasses import asdict

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from simulator.clock import timestamp
from simulator.faults.chat import ChatFault
from simulator.faults.prediction import PredictionFault
from simulator.faults.rules import InvalidRuleError
from simulator.log import LogKind
from simulator.replicate.schemas import prediction_object
from simulator.state import simulator_of
from simulator.wire import JsonResponse

_NUMBER = re.compile(r"[0-9]{1,15}")


def control_routes() -> list[BaseRoute]:
    """The routes under ``/_sim``."""
    routes: list[BaseRoute] = [
        Route("/health", health),
        Route("/log", read_log),
        Route("/predictions", list_predictions),
        Route("/predictions/{id}", read_prediction),
        Route("/faults", list_faults),
        Route("/faults", add_faults, methods=["POST"]),
        Route("/faults", clear_faults, methods=["DELETE"]),
        Route("/clock", skip_time, methods=["POST"]),
        Route("/revoked", revoke, methods=["POST"]),
        Route("/reset", reset, methods=["POST"]),
    ]
    return [Mount("/_sim", routes=routes)]


async def health(request: Request) -> Response:
    """Report that it is running, with which seed, and how much it holds."""
    simulator = simulator_of(request)
    return JsonResponse(
        {
            "status": "ok",
            "seed": simulator.config.seed,
            "fault_rate": simulator.config.fault_rate,
            "speed": simulator.config.speed,
            "now": timestamp(simulator.clock.now()),
            "predictions": len(simulator.predictions),
        }
    )


async def read_log(request: Request) -> Response:
    """Return what was received and sent: ``kind`` narrows it, ``since`` leaves out up to this ``seq``."""
    kind, since = request.query_params.get("kind"), request.query_params.get("since", "0")
    if (kind is not None and kind not in set(LogKind)) or not _NUMBER.fullmatch(since):
        return JsonResponse({"detail": f"kind is one of {', '.join(LogKind)}; since is a number"}, 400)
    entries = simulator_of(request).log.entries(LogKind(kind) if kind else None, since=int(since))
    return JsonResponse({"entries": entries})


async def list_predictions(request: Request) -> Response:
    """List all predictions, oldest first, as they are now."""
    simulator = simulator_of(request)
    now = simulator.clock.now()
    newest_first = [prediction_object(prediction, now) for prediction in simulator.predictions.newest_first()]
    return JsonResponse({"predictions": newest_first[::-1]})


async def read_prediction(request: Request) -> Response:
    """Show one prediction without requiring a token."""
    simulator = simulator_of(request)
    prediction = simulator.predictions.get(request.path_params["id"])
    if prediction is None:
        return JsonResponse({"detail": "No such prediction"}, 404)
    return JsonResponse(prediction_object(prediction, simulator.clock.now()))


async def list_faults(request: Request) -> Response:
    """List all faults that exist and the active rules."""
    rules = [asdict(rule) for rule in simulator_of(request).rules.rules()]
    return JsonResponse({"prediction": list(PredictionFault), "chat": list(ChatFault), "rules": rules})


async def add_faults(request: Request) -> Response:
    """Order faults: a list of rules, see `simulator.faults.rules.RuleBook.add`."""
    rules = simulator_of(request).rules
    try:
        documents = orjson.loads(await request.body())
        added = [rules.add(document) for document in (documents if isinstance(documents, list) else [documents])]
    except (orjson.JSONDecodeError, InvalidRuleError) as error:
        return JsonResponse({"detail": str(error)}, 400)
    return JsonResponse({"rules": [asdict(rule) for rule in added]}, 201)


async def clear_faults(request: Request) -> Response:
    """Drop all ordered faults."""
    simulator_of(request).rules.clear()
    return Response(status_code=204)


async def skip_time(request: Request) -> Response:
    """Let time pass: ``{"skip": seconds}``."""
    clock = simulator_of(request).clock
    try:
        seconds = float(orjson.loads(await request.body())["skip"])
        timestamp(clock.now() + seconds)
    except (KeyError, OverflowError, TypeError, ValueError):
        return JsonResponse({"detail": 'Expected {"skip": seconds}'}, 400)
    clock.skip(seconds)
    return JsonResponse({"now": timestamp(clock.now())})


async def revoke(request: Request) -> Response:
    """Refuse a token or key from now on, as both vendors: ``{"token": text}``."""
    try:
        token = str(orjson.loads(await request.body())["token"])
    except (KeyError, TypeError, ValueError):
        return JsonResponse({"detail": 'Expected {"token": text}'}, 400)
    simulator_of(request).revoked.add(token)
    return Response(status_code=204)


async def reset(request: Request) -> Response:
    """Return to the state of a fresh start."""
    simulator_of(request).reset()
    return Response(status_code=204)
