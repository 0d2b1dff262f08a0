from datetime import timedelta
from typing import Any, Self

from pydantic import BaseModel

from app.content.service import PROMPT_IN_LIST, ContentWithOutputs, ListedContent
from app.content.urls import FileUrls
from app.core.clock import Seconds
from app.core.json import has_too_many_levels
from app.core.page import Page
from app.credits.max_credits import MaxCredits
from app.credits.schemas import CreditNumber
from app.generations.media_types import ContentType
from app.generations.models import Generation
from app.generations.states import Status


class RetryRequest(BaseModel):
    """What a retry may cost. It needs no body."""

    max_credits: MaxCredits | None = None


class ContentRead(BaseModel):
    """A generated content in a list; the fields and their order are those of the public documentation."""

    id: str
    content_type: ContentType | None
    status: Status
    prompt: str
    replicate_version: str
    output_url: str | None
    storage_url: str | None
    error_message: str | None
    processing_time_ms: int | None
    credit_cost: CreditNumber | None
    created_at: Seconds
    completed_at: Seconds | None

    @classmethod
    def of(cls, item: ListedContent, urls: FileUrls) -> Self:
        """The content as a list shows it."""
        content, outputs = item.shown.content, item.shown.outputs
        return cls(
            id=str(content.id),
            content_type=_content_type(content),
            status=Status(content.status),
            prompt=_shortened(item.prompt),
            replicate_version=content.model,
            output_url=content.output_url,
            storage_url=urls.of(content, outputs[0]) if outputs else None,
            error_message=content.error_message,
            processing_time_ms=_processing_time_ms(content),
            credit_cost=content.credit_cost,
            created_at=content.created_at,
            completed_at=content.completed_at,
        )


class ContentPageRead(BaseModel):
    """One page of content, newest first."""

    items: list[ContentRead]
    total: int
    page: int
    page_size: int
    has_more: bool

    @classmethod
    def of(cls, page: Page[ListedContent], urls: FileUrls) -> Self:
        """The page as the API shows it."""
        return cls(
            items=[ContentRead.of(item, urls) for item in page.items],
            total=page.total,
            page=page.page,
            page_size=page.page_size,
            has_more=page.has_next,
        )


class OutputRead(BaseModel):
    """A further file of the same generation."""

    storage_path: str
    storage_url: str
    content_type: ContentType


class ContentDetail(BaseModel):
    """A generated content in full; the fields and their order are those of the public documentation."""

    id: str
    organization_id: str
    user_id: str
    content_type: ContentType | None
    status: Status
    prompt: str
    replicate_version: str
    replicate_prediction_id: str | None
    replicate_input: dict[str, Any]
    output_url: str | None
    storage_path: str | None
    storage_url: str | None
    error_message: str | None
    retry_count: int
    max_retries: int
    credit_cost: CreditNumber | None
    processing_time_ms: int | None
    created_at: Seconds
    started_at: Seconds | None
    completed_at: Seconds | None
    # Set only if there are any: fields that are not set are left out of the response.
    additional_outputs: list[OutputRead] = []

    @classmethod
    def of(cls, item: ContentWithOutputs, urls: FileUrls) -> Self:
        """The content as its detail shows it."""
        content = item.content
        first, further = (item.outputs[0], item.outputs[1:]) if item.outputs else (None, [])
        detail = cls(
            id=str(content.id),
            organization_id=content.organization_id,
            user_id=content.user_id,
            content_type=_content_type(content),
            status=Status(content.status),
            prompt=content.prompt,
            replicate_version=content.model,
            replicate_prediction_id=content.prediction_id,
            replicate_input=_shown_input(content.input),
            output_url=content.output_url,
            storage_path=first.storage_path if first else None,
            storage_url=urls.of(content, first) if first else None,
            error_message=content.error_message,
            retry_count=content.retry_count,
            max_retries=content.max_retries,
            credit_cost=content.credit_cost,
            processing_time_ms=_processing_time_ms(content),
            created_at=content.created_at,
            started_at=content.started_at,
            completed_at=content.completed_at,
        )
        if further:
            detail.additional_outputs = [
                OutputRead(
                    storage_path=output.storage_path,
                    storage_url=urls.of(content, output),
                    content_type=ContentType(output.content_type),
                )
                for output in further
            ]
        return detail


class RetryQueued(BaseModel):
    """Confirms that a failed content will be generated again."""

    success: bool
    message: str
    generation_id: str

    @classmethod
    def of(cls, content: Generation) -> Self:
        """The response of the retry route."""
        return cls(
            success=True,
            message=f"Content generation retry queued (attempt {content.retry_count}/{content.max_retries})",
            generation_id=str(content.id),
        )


def _content_type(content: Generation) -> ContentType | None:
    return ContentType(content.content_type) if content.content_type else None


def _shortened(prompt: str) -> str:
    return prompt if len(prompt) <= PROMPT_IN_LIST else prompt[:PROMPT_IN_LIST] + "…"


def _shown_input(values: Any) -> dict[str, Any]:
    # Inputs that older versions have stored may be unreadable, or too deep for a response.
    return values if isinstance(values, dict) and not has_too_many_levels(values) else {}


def _processing_time_ms(content: Generation) -> int | None:
    if content.completed_at is None:
        return None
    return (content.completed_at - content.created_at) // timedelta(milliseconds=1)
