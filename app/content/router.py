from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.catalog.errors import ModelNotPricedError
from app.content import service
from app.content.dependencies import ContentReader, ContentRetrier, ContentRoute, FileUrlsDep
from app.content.errors import ContentNotFoundError, ContentRequestError
from app.content.repository import ContentFilter
from app.content.schemas import ContentDetail, ContentPageRead, RetryQueued, RetryRequest
from app.content.service import Retrier
from app.core.documentation import may_raise
from app.core.pagination import PageNumber, PageSize
from app.credits.dependencies import MaxCreditsDep
from app.credits.errors import InsufficientCreditsError, KeyCapReachedError, MaxCreditsReachedError
from app.credits.max_credits import lesser
from app.dependencies import QueueDep, TransactionDep
from app.generations.dependencies import GenerationPolicyDep
from app.generations.media_types import ContentType
from app.generations.states import Status
from app.idempotency.dependencies import OnceDep


def _one_of(values: type[StrEnum]) -> dict[str, Any]:
    # Only documented here: the service says in the API's own words which values there are.
    return {"enum": [value.value for value in values]}


router = APIRouter(prefix="/api/external/content", tags=["Generated content"], route_class=ContentRoute)


@router.get("")
async def list_content(
    caller: ContentReader,
    tx: TransactionDep,
    urls: FileUrlsDep,
    page: PageNumber = 1,
    page_size: PageSize = 20,
    content_type: Annotated[str | None, Query(json_schema_extra=_one_of(ContentType))] = None,
    status: Annotated[str | None, Query(json_schema_extra=_one_of(Status))] = None,
) -> ContentPageRead:
    """A page of the organization's generated content, newest first."""
    wanted = ContentFilter(caller.organization_id, content_type, status)
    found = await service.list_content(tx, wanted, page=page, page_size=page_size)
    return ContentPageRead.of(found, urls)


@router.get("/{content_id}", response_model_exclude_unset=True)
@may_raise(ContentNotFoundError)
async def get_content(content_id: str, caller: ContentReader, tx: TransactionDep, urls: FileUrlsDep) -> ContentDetail:
    """One generated content in full."""
    return ContentDetail.of(await service.get_whole_content(tx, caller.organization_id, content_id), urls)


@router.post("/{content_id}/retry", openapi_extra={"x-billing": "metered"})
@may_raise(
    InsufficientCreditsError,
    KeyCapReachedError,
    MaxCreditsReachedError,
    ContentNotFoundError,
    ContentRequestError,
    ModelNotPricedError,
)
async def retry_content(
    content_id: str,
    caller: ContentRetrier,
    once: OnceDep,
    tx: TransactionDep,
    queue: QueueDep,
    policy: GenerationPolicyDep,
    max_credits: MaxCreditsDep,
    body: RetryRequest | None = None,
) -> RetryQueued:
    """Queue a failed generation again with its original parameters."""
    most = lesser(body.max_credits if body else None, max_credits)

    async def retry() -> RetryQueued:
        return RetryQueued.of(await service.retry(tx, queue, policy, Retrier.of(caller), content_id, most))

    return await once.run(RetryQueued, retry)
