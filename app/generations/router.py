import uuid

from fastapi import APIRouter, Request, Response

from app.core.clock import now
from app.core.errors import InvalidRequestError
from app.dependencies import ResourcesDep
from app.generations import transitions
from app.generations.callbacks import PATH
from app.predictions.parsing import UnreadableAnswerError, parse_json
from app.predictions.signatures import verify

router = APIRouter(tags=["Webhooks"], include_in_schema=False)


@router.post(PATH + "/{content_id}/{attempt}/{nonce}", status_code=204)
async def receive_replicate_webhook(
    content_id: uuid.UUID, attempt: int, nonce: str, request: Request, resources: ResourcesDep
) -> Response:
    """Hear from Replicate that a prediction has news.

    The signed body is a hint: it says which prediction to look at, and what it says of it is not believed. Forged,
    repeated, late or disordered, it changes nothing that a look at the vendor would not.
    """
    body = await request.body()
    verify(resources.settings.replicate_webhook_secrets, request.headers, body, now())
    async with resources.database.transaction() as tx:
        if await transitions.called_back(tx, content_id, attempt, nonce, _prediction_id(body)):
            resources.queue.wake_poller(tx)
    return Response(status_code=204)


def _prediction_id(body: bytes) -> str:
    try:
        prediction = parse_json(body)
    except UnreadableAnswerError:
        prediction = None
    if not isinstance(prediction, dict) or not isinstance(prediction.get("id"), str):
        raise InvalidRequestError("The body is not a prediction")
    return str(prediction["id"])
