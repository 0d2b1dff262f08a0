from typing import Any, Final

from fastapi import APIRouter, Response

from app.catalog.errors import ModelNotPricedError
from app.catalog.image_inputs import MOST_IMAGES
from app.content.dependencies import FileUrlsDep
from app.core.documentation import links, may_raise
from app.core.errors import InvalidRequestError, ServiceUnavailableError
from app.core.multipart_body import FORM
from app.credits.dependencies import MaxCreditsDep
from app.credits.errors import InsufficientCreditsError, KeyCapReachedError, MaxCreditsReachedError
from app.credits.max_credits import lesser
from app.dependencies import StoreDep
from app.direct_generations.dependencies import ContentGenerator, DirectGenerationsDep
from app.direct_generations.errors import NothingMadeError, NotMadeYetError
from app.direct_generations.service import DirectGenerations
from app.idempotency.dependencies import IdempotentRequestDep
from app.images.dependencies import EditsRoute
from app.images.picture_response import Pictured
from app.images.pictures import Pictures
from app.images.schemas import EditsRequest, ImagesRead, ImagesRequest, schema_of_events
from app.images.service import ImagesAsked
from app.images.streamed import respond_streamed
from app.openapi_headers import header
from app.rate_limits.dependencies import GuardedRoute

_PREFIX: Final = "/api/external/v1/images"
_GENERATED: Final = "image_generation.completed"
_EDITED: Final = "image_edit.completed"

router = APIRouter(prefix=_PREFIX, tags=["Generated content"], route_class=GuardedRoute)
# These requests may be forms, too.
edits_router = APIRouter(prefix=_PREFIX, tags=["Generated content"], route_class=EditsRoute)


def _responses(event: str) -> dict[int | str, dict[str, Any]]:
    return {
        200: {
            "model": ImagesRead,
            "description": f"The images; with `stream` an event `{event}` for each that could be made",
            "content": {"text/event-stream": {"itemSchema": schema_of_events(event)}},
            "headers": header("Idempotent-Replayed"),
            "links": links("content_id", "generated_content/0/id", "get_content"),
        }
    }


def _form() -> dict[str, Any]:
    """A form as OpenAPI has it: texts but for the files."""
    file = {"type": "string", "format": "binary"}
    texts = EditsRequest.model_fields.keys() - {"images", "mask"}
    return {
        "type": "object",
        "properties": {
            **{name: {"type": "string"} for name in sorted(texts)},
            "image": file,
            "image[]": {"type": "array", "items": file, "minItems": 1, "maxItems": MOST_IMAGES},
            "mask": file,
        },
        "required": ["prompt"],
        "anyOf": [{"required": ["image"]}, {"required": ["image[]"]}],
        "additionalProperties": False,
    }


@router.post("/generations", openapi_extra={"x-billing": "metered"}, responses=_responses(_GENERATED))
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
async def create_images(
    body: ImagesRequest,
    caller: ContentGenerator,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    images: DirectGenerationsDep,
    store: StoreDep,
    urls: FileUrlsDep,
) -> Response:
    """Make images with a model of the catalog, in OpenAI's form. Each of them is a content."""
    most = lesser(body.max_credits, max_credits)
    asked = ImagesAsked(caller, body.prompt, body.model, body.n or 1, body.fields, idempotent, most)
    pictured = Pictured(store, urls, _GENERATED, has_bytes=body.response_format != "url")
    return await _respond(images, asked, pictured, is_streamed=bool(body.stream))


@edits_router.post(
    "/edits",
    openapi_extra={"x-billing": "metered", "requestBody": {"content": {FORM: {"schema": _form()}}}},
    responses=_responses(_EDITED),
)
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
async def edit_images(
    body: EditsRequest,
    caller: ContentGenerator,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    images: DirectGenerationsDep,
    store: StoreDep,
    urls: FileUrlsDep,
) -> Response:
    """Change images with a model of the catalog, in OpenAI's form: as a form with files, or as JSON."""
    most = lesser(body.max_credits, max_credits)
    pictures = Pictures.of(body)
    asked = ImagesAsked(caller, body.prompt, body.model, body.n or 1, body.fields, idempotent, most, pictures)
    pictured = Pictured(store, urls, _EDITED, has_bytes=body.response_format != "url")
    return await _respond(images, asked, pictured, is_streamed=bool(body.stream))


async def _respond(images: DirectGenerations, asked: ImagesAsked, pictured: Pictured, *, is_streamed: bool) -> Response:
    if is_streamed:
        return await respond_streamed(images.create(asked.asked()), pictured, images.wait_seconds)
    return await pictured.body(await images.create(asked.asked()))
