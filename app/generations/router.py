import uuid

from fastapi import APIRouter, Request, Response

from app.core.clock import now
from app.core.errors import InvalidRequestError
from app.dependencies import DatabaseDep, QueueDep, SettingsDep
from app.generations import progress
from app.generations.callbacks import PATH
from app.predictions.parsing import UnreadableResponseError, parse_json
from app.predictions.signatures import verify
from app.queue.protocol import WakeKind

router = APIRouter(tags=["Webhooks"], include_in_schema=False)


@router.post(PATH + "/{generation_id}/{attempt}/{nonce}", status_code=204)
async def receive_replicate_webhook(
    generation_id: uuid.UUID,
    attempt: int,
    nonce: str,
    request: Request,
    database: DatabaseDep,
    queue: QueueDep,
    settings: SettingsDep,
) -> Response:
    """Take the news from Replicate that a prediction has changed.

    The signed body is a hint: it says which prediction to poll, and what it says of it is not believed. Forged,
    repeated, late or out of order, it changes nothing that a poll would not.
    """
    body = await request.body()
    verify(settings.replicate_webhook_secrets, request.headers, body, now())
    async with database.transaction() as tx:
        if await progress.note_callback(tx, generation_id, attempt, nonce, _prediction_id(body)):
            queue.wake(tx, WakeKind.POLL)
    return Response(status_code=204)


def _prediction_id(body: bytes) -> str:
    try:
        prediction = parse_json(body)
    except UnreadableResponseError:
        prediction = None
    if not isinstance(prediction, dict) or not isinstance(prediction.get("id"), str):
        raise InvalidRequestError("The body is not a prediction")
    return str(prediction["id"])
