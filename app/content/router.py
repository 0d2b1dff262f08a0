from typing import Annotated

from fastapi import APIRouter, Query

from app.content import service
from app.content.dependencies import ContentReader, ContentRetrier, ContentRoute, FileUrlsDep
from app.content.repository import ContentFilter
from app.content.schemas import ContentDetail, ContentPageRead, RetryQueued
from app.core.pagination import PageNumber, PageSize
from app.dependencies import QueueDep, TransactionDep
from app.generations.dependencies import GenerationPolicyDep
from app.idempotency.dependencies import OnceDep

router = APIRouter(prefix="/api/external/content", tags=["Generated content"], route_class=ContentRoute)


@router.get("")
async def list_content(
    caller: ContentReader,
    tx: TransactionDep,
    urls: FileUrlsDep,
    page: PageNumber = 1,
    page_size: PageSize = 20,
    content_type: Annotated[str | None, Query()] = None,
    status: Annotated[str | None, Query()] = None,
) -> ContentPageRead:
    """A page of the organization's generated content, newest first."""
    wanted = ContentFilter(caller.organization_id, content_type, status)
    found = await service.list_content(tx, wanted, page=page, page_size=page_size)
    return ContentPageRead.of(found, urls)


@router.get("/{content_id}", response_model_exclude_unset=True)
async def get_content(content_id: str, caller: ContentReader, tx: TransactionDep, urls: FileUrlsDep) -> ContentDetail:
    """One generated content in full."""
    return ContentDetail.of(await service.get_whole_content(tx, caller.organization_id, content_id), urls)


@router.post("/{content_id}/retry", openapi_extra={"x-billing": "metered"})
async def retry_content(
    content_id: str,
    caller: ContentRetrier,
    once: OnceDep,
    tx: TransactionDep,
    queue: QueueDep,
    policy: GenerationPolicyDep,
) -> RetryQueued:
    """Queue a failed generation again with its original parameters."""

    async def retry() -> RetryQueued:
        return RetryQueued.of(await service.retry(tx, queue, policy, caller, content_id))

    return await once.run(RetryQueued, retry)
