from typing import Any

from fastapi import APIRouter, Response

from app.catalog.errors import ModelNotPricedError
from app.core.documentation import may_raise
from app.core.errors import InvalidRequestError, ServiceUnavailableError
from app.core.long_response import LongResponse
from app.credits.dependencies import MaxCreditsDep
from app.credits.errors import InsufficientCreditsError, KeyCapReachedError, MaxCreditsReachedError
from app.credits.max_credits import lesser
from app.dependencies import StoreDep
from app.direct_generations.dependencies import ContentGenerator, DirectGenerationsDep
from app.direct_generations.errors import NothingMadeError, NotMadeYetError
from app.direct_generations.readable_files import check_readable
from app.direct_generations.service import Made
from app.idempotency.dependencies import IdempotentRequestDep
from app.idempotency.service import REPLAYED_HEADERS
from app.openapi_headers import header
from app.rate_limits.dependencies import GuardedRoute
from app.speech.schemas import SpeechRequest
from app.speech.service import SpeechAsked
from app.storage.protocol import ObjectStore

router = APIRouter(prefix="/api/external/v1/audio", tags=["Generated content"], route_class=GuardedRoute)

_FILE = {"schema": {"type": "string", "format": "binary"}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The finished file, in whichever format the model has made it; it need not be audio",
        # Which files a model makes is known when it has made them, and they are paid for then.
        "content": {"audio/*": _FILE, "*/*": _FILE},
        "headers": header("Idempotent-Replayed") | header("X-Content-ID"),
    }
}


@router.post("/speech", openapi_extra={"x-billing": "metered"}, response_class=LongResponse, responses=_RESPONSES)
@may_raise(
    InvalidRequestError,
    InsufficientCreditsError,
    KeyCapReachedError,
    MaxCreditsReachedError,
    ModelNotPricedError,
    NothingMadeError,
    NotMadeYetError,
    ServiceUnavailableError,
)
async def create_speech(
    body: SpeechRequest,
    caller: ContentGenerator,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    generations: DirectGenerationsDep,
    store: StoreDep,
) -> Response:
    """Have a text spoken by a model of the catalog, in OpenAI's form. The file is a content."""
    asked = SpeechAsked(caller, body.input, body.model, body.fields, idempotent, lesser(body.max_credits, max_credits))
    return await _respond(await generations.create(asked.asked()), store)


async def _respond(made: Made, store: ObjectStore) -> Response:
    """The bytes of the file, read from the store while they are sent."""
    (content,) = made.contents
    output = content.outputs[0]
    await check_readable(output, store)
    headers = {
        "Content-Length": str(output.size_bytes),
        "X-Content-ID": str(content.content.id),
        "X-Content-Type-Options": "nosniff",
        **(REPLAYED_HEADERS if made.is_replayed else {}),
    }
    return LongResponse(store.read(output.storage_path), media_type=output.media_type, headers=headers)
