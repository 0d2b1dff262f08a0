from typing import Any

from fastapi import APIRouter, Response

from app.catalog.errors import ModelNotPricedError
from app.core.documentation import may_raise
from app.core.errors import (
    InvalidRequestError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ServiceUnavailableError,
)
from app.credits.dependencies import MaxCreditsDep
from app.credits.errors import InsufficientCreditsError, KeyCapReachedError, MaxCreditsReachedError
from app.credits.max_credits import lesser
from app.embeddings.asked import EmbeddingsRequestOf
from app.embeddings.dependencies import EmbeddingsDep, EmbeddingsInvoker
from app.embeddings.inputs import Inputs
from app.embeddings.schemas import EmbeddingsRead, EmbeddingsRequest
from app.embeddings.vector_response import respond
from app.idempotency.dependencies import IdempotentRequestDep
from app.openapi_headers import header
from app.rate_limits.dependencies import GuardedRoute

router = APIRouter(prefix="/api/external/v1", tags=["Embeddings"], route_class=GuardedRoute)

_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": EmbeddingsRead, "description": "The vectors", "headers": header("Idempotent-Replayed")}
}


@router.post("/embeddings", openapi_extra={"x-billing": "metered"}, responses=_RESPONSES)
@may_raise(
    InvalidRequestError,
    InsufficientCreditsError,
    KeyCapReachedError,
    MaxCreditsReachedError,
    ModelNotPricedError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ServiceUnavailableError,
)
async def create_embeddings(
    body: EmbeddingsRequest,
    caller: EmbeddingsInvoker,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    embeddings: EmbeddingsDep,
) -> Response:
    """The vectors of texts or tokens, by an embedding model of the catalog, in OpenAI's form."""
    inputs = await Inputs.of(body.input)
    most = lesser(body.max_credits, max_credits)
    asked = EmbeddingsRequestOf(caller, body.model, inputs, body.parameters, idempotent, most)
    return respond(await embeddings.create(asked), body.encoding_format or "float")
