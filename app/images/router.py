from typing import Any

from fastapi import APIRouter, Response

from app.catalog.errors import ModelNotPricedError
from app.content.dependencies import FileUrlsDep
from app.core.documentation import links, may_raise
from app.core.errors import InvalidRequestError, ServiceUnavailableError
from app.credits.dependencies import MaxCreditsDep
from app.credits.errors import InsufficientCreditsError, MaxCreditsReachedError
from app.credits.max_credits import lesser
from app.dependencies import StoreDep
from app.idempotency.dependencies import IdempotentRequestDep
from app.images.dependencies import ContentGenerator, ImagesDep
from app.images.errors import ImagesFailedError, ImagesUnfinishedError
from app.images.picture_response import respond
from app.images.schemas import ImagesRead, ImagesRequest
from app.images.service import ImagesAsked
from app.openapi_headers import header
from app.rate_limits.dependencies import GuardedRoute

router = APIRouter(prefix="/api/external/v1/images", tags=["Generated content"], route_class=GuardedRoute)

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "model": ImagesRead,
        "description": "The images; with `stream` an event `image_generation.completed` for each that could be made",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
        "headers": header("Idempotent-Replayed"),
        "links": links("content_id", "generated_content/0/id", "get_content"),
    }
}


@router.post("/generations", openapi_extra={"x-billing": "metered"}, responses=_RESPONSES)
@may_raise(
    InvalidRequestError,
    InsufficientCreditsError,
    MaxCreditsReachedError,
    ModelNotPricedError,
    ImagesFailedError,
    ImagesUnfinishedError,
    ServiceUnavailableError,
)
async def create_images(
    body: ImagesRequest,
    caller: ContentGenerator,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    images: ImagesDep,
    store: StoreDep,
    urls: FileUrlsDep,
) -> Response:
    """Make images with a model of the catalog, in OpenAI's form. Each of them is a content."""
    most = lesser(body.max_credits, max_credits)
    asked = ImagesAsked(caller, body.prompt, body.model, body.n or 1, body.fields, idempotent, most)
    made = await images.create(asked)
    has_bytes = body.response_format != "url"
    return await respond(made, store, urls, has_bytes=has_bytes, is_streamed=bool(body.stream))
