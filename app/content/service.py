import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.api_keys.caller import Caller
from app.catalog import service as catalog
from app.catalog.pricing import generation_ceiling
from app.catalog.service import PricedModel
from app.content import repository, states
from app.content.errors import ContentNotFoundError, ContentRequestError
from app.content.models import ContentOutput, GeneratedContent
from app.content.repository import ContentFilter
from app.core.clock import now
from app.core.database import Transaction
from app.core.settings import Settings
from app.credits import service as credits
from app.idempotency import service as idempotency
from app.queue.protocol import JobQueue

START_JOB = "start_generation"
FINISH_JOB = "finish_generation"


@dataclass(frozen=True)
class ContentWithOutputs:
    """A content and the files of its last attempt; none unless it is completed."""

    content: GeneratedContent
    outputs: Sequence[ContentOutput]


@dataclass(frozen=True)
class ContentPage:
    items: Sequence[ContentWithOutputs]
    total: int
    page: int
    page_size: int

    @property
    def has_more(self) -> bool:
        return self.page * self.page_size < self.total


@dataclass(frozen=True)
class GenerationRequest:
    """What an agent asks to be made, and for whom.

    `request_key` names the client's request where that is to run once, however often it is sent.
    """

    organization_id: str
    user_id: str
    session_id: uuid.UUID | None
    turn_id: str | None
    model: str
    input: Mapping[str, Any]
    request_key: bytes | None = None


def hold_reference(content_id: uuid.UUID, attempt: int) -> str:
    """How the credits call one attempt of a content."""
    return f"generation:{content_id}:{attempt}"


async def request_generation(
    tx: Transaction, queue: JobQueue, settings: Settings, request: GenerationRequest
) -> GeneratedContent:
    """Accept a generation: hold the most it can cost, write it down, wake the worker after the commit.

    Where an earlier run of the same request has asked for the same already, and was lost with it, that one is it.

    Raises:
        UnknownModelError, ModelNotPricedError: the catalog does not offer the model.
        InsufficientCreditsError: the organization cannot pay the ceiling.
    """
    if adopted := await _adopt(tx, request):
        return adopted
    model = await catalog.get_generation_model(tx, request.model)
    content = _pending(settings, request, model, is_queued=await repository.is_full(tx, request.organization_id))
    await credits.hold(
        tx,
        organization_id=request.organization_id,
        reference=hold_reference(content.id, 0),
        amount=generation_ceiling(model.price),
        expires_in=None,
    )
    tx.session.add(content)
    await tx.session.flush()
    if not content.is_queued:
        # What waits for its own organization is started when a place becomes free, and keeps no worker busy before.
        queue.enqueue(tx, START_JOB, str(content.id), 0)
    return content


def _pending(
    settings: Settings, request: GenerationRequest, model: PricedModel, *, is_queued: bool
) -> GeneratedContent:
    return GeneratedContent(
        id=uuid.uuid4(),
        organization_id=request.organization_id,
        user_id=request.user_id,
        session_id=request.session_id,
        turn_id=request.turn_id,
        request_key=request.request_key,
        model=request.model,
        input=dict(request.input),
        prompt=_prompt_of(request.input),
        price_id=model.price.id,
        max_retries=settings.generation_max_retries,
        deadline_at=now() + timedelta(seconds=settings.generation_deadline_seconds),
        is_queued=is_queued,
    )


async def _adopt(tx: Transaction, request: GenerationRequest) -> GeneratedContent | None:
    """What an earlier run of the request asked for and no later one has taken over, moved to this run's turn."""
    if request.request_key is None:
        return None
    since = now() - idempotency.LIFETIME
    content = await repository.find_lost(
        tx, request.request_key, request.turn_id, request.model, request.input, since=since
    )
    if content is not None:
        content.session_id, content.turn_id = request.session_id, request.turn_id
        await tx.session.flush()
    return content


async def list_content(tx: Transaction, wanted: ContentFilter, *, page: int, page_size: int) -> ContentPage:
    """One page of an organization's content, newest first.

    Raises:
        ContentRequestError: a filter names no type or status.
    """
    states.check_filter("content_type", wanted.content_type, states.CONTENT_TYPES)
    states.check_filter("status", wanted.status, states.STATUSES)
    total = await repository.count_content(tx, wanted)
    found = await repository.list_content(tx, wanted, offset=(page - 1) * page_size, limit=page_size)
    return ContentPage(await _with_outputs(tx, wanted.organization_id, found), total, page, page_size)


async def get_content(tx: Transaction, organization_id: str, content_id: str) -> ContentWithOutputs:
    """One content of the organization.

    Raises:
        ContentNotFoundError: it has none of that id, or the id is no UUID.
    """
    content = await repository.find_content(tx, organization_id, _parse_id(content_id))
    if content is None:
        raise ContentNotFoundError(content_id)
    return (await _with_outputs(tx, organization_id, [content]))[0]


async def list_of_turn(tx: Transaction, organization_id: str, turn_id: str) -> Sequence[ContentWithOutputs]:
    """What a chat turn asked for, in order."""
    found = await repository.list_of_turn(tx, organization_id, turn_id)
    return await _with_outputs(tx, organization_id, found)


async def count_pending(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> int:
    """How much of what a session asked for has not ended."""
    return await repository.count_pending(tx, organization_id, session_id)


async def retry(
    tx: Transaction, queue: JobQueue, settings: Settings, caller: Caller, content_id: str
) -> GeneratedContent:
    """Queue a failed content again with its original parameters, at the price of today.

    Of two that retry at once one wins; the other reads the state that the winner left.

    Raises:
        ContentNotFoundError: the organization has none of that id.
        ContentRequestError: it has not failed, or has been retried as often as it may.
        InsufficientCreditsError: the organization cannot pay the ceiling.
    """
    found = (await get_content(tx, caller.organization_id, content_id)).content
    states.check_retry(found.status, found.retry_count, found.max_retries)
    deadline_at = now() + timedelta(seconds=settings.generation_deadline_seconds)
    attempt = await repository.queue_again(tx, caller.organization_id, found.id, found.retry_count, deadline_at)
    await tx.session.refresh(found)
    if attempt is None:
        states.check_retry(found.status, found.retry_count, found.max_retries)
        raise ContentRequestError(f"Cannot retry content with status '{found.status}'.")
    model = await catalog.get_generation_model(tx, found.model)
    found.price_id = model.price.id
    await credits.hold(
        tx,
        organization_id=caller.organization_id,
        reference=hold_reference(found.id, attempt),
        amount=generation_ceiling(model.price),
        expires_in=None,
    )
    queue.enqueue(tx, START_JOB, str(found.id), attempt)
    return found


async def _with_outputs(
    tx: Transaction, organization_id: str, contents: Sequence[GeneratedContent]
) -> list[ContentWithOutputs]:
    completed = [content.id for content in contents if content.status == states.COMPLETED]
    outputs = await repository.find_outputs(tx, organization_id, completed) if completed else []
    return [
        ContentWithOutputs(content, [output for output in outputs if output.content_id == content.id])
        for content in contents
    ]


def _parse_id(content_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(content_id)
    except ValueError:
        raise ContentNotFoundError(content_id) from None


def _prompt_of(values: Mapping[str, Any]) -> str:
    """The words of the input, under whatever name the model gives them."""
    for name in ("prompt", "text", "input"):
        value = values.get(name)
        if isinstance(value, str):
            return value
    return ""
