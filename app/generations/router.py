import time

from fastapi import APIRouter, Request, Response

from app.core.clock import now
from app.core.errors import AppError, InvalidRequestError
from app.core.json_limits import CostlyJsonError, check_cost
from app.core.metrics import WEBHOOKS
from app.core.read_body import hold_body
from app.core.span_names import Attribute, SpanName
from app.core.tracing import Attributes, Tracer, span_var
from app.dependencies import DatabaseDep, QueueDep, SettingsDep, TracerDep
from app.generations import progress
from app.generations.attempts import Origin
from app.generations.callbacks import PATH, NamedAttempt, named_attempt
from app.predictions.parsing import UnreadableResponseError, is_id, parse_json
from app.predictions.signatures import verify
from app.queue.protocol import WakeKind

router = APIRouter(tags=["Webhooks"], include_in_schema=False)

_FOLLOWED, _IGNORED, _REFUSED = (WEBHOOKS.labels(result) for result in ("followed", "ignored", "refused"))


@router.post(PATH + "/{generation_id}/{attempt}/{nonce}", status_code=204)
async def receive_replicate_webhook(
    request: Request, database: DatabaseDep, queue: QueueDep, settings: SettingsDep, tracer: TracerDep
) -> Response:
    """Receive a report from Replicate that a prediction has changed.

    The signed body is a hint: it says which prediction to poll, and nothing else in it is believed. Whether it is
    forged, repeated, late or out of order, it changes nothing that a poll would not. Only whoever can sign learns
    whether the URL or the body is one of ours.
    """
    await hold_body(request, request.app.state.webhook_bodies, "webhooks")
    body = await request.body()
    try:
        verify(settings.replicate_webhook_secrets, request.headers, body, now())
        prediction_id = _prediction_id(body)
    except AppError:
        _REFUSED.inc()
        raise
    named = named_attempt(request.scope["path"])
    origin = None
    if named is not None and is_id(prediction_id):
        began_at = time.time_ns()
        async with database.transaction() as tx:
            origin = await progress.note_callback(tx, named.generation_id, named.attempt, named.nonce, prediction_id)
            if origin is not None:
                queue.wake(tx, WakeKind.POLL)
        if origin is not None and tracer is not None:
            _trace(tracer, origin, named, prediction_id, began_at)
    (_IGNORED if origin is None else _FOLLOWED).inc()
    return Response(status_code=204)


def _trace(tracer: Tracer, origin: Origin, named: NamedAttempt, prediction_id: str, began_at: int) -> None:
    """Add the report to the trace of the request that has caused the attempt. It knows nothing of traces itself."""
    if origin.traceparent is None:
        return
    attributes: Attributes = {
        Attribute.GENERATION: str(named.generation_id),
        Attribute.ATTEMPT: named.attempt,
        Attribute.PREDICTION: prediction_id,
    }
    span = tracer.begin(
        SpanName.WEBHOOK, attributes, traceparent=origin.traceparent, began_at=began_at, cause=span_var.get()
    )
    if span is not None:
        span.end()


def _prediction_id(body: bytes) -> str:
    try:
        check_cost(body)
        prediction = parse_json(body)
    except (CostlyJsonError, UnreadableResponseError):
        prediction = None
    if not isinstance(prediction, dict) or not isinstance(prediction.get("id"), str):
        raise InvalidRequestError("The body is not a prediction")
    return str(prediction["id"])
