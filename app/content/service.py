import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Self

from app.api_keys.caller import Caller
from app.content import repository
from app.content.errors import ContentNotFoundError, ContentRequestError
from app.content.repository import ContentFilter, File
from app.core.attribution import Attribution
from app.core.database import Transaction
from app.core.errors import NotFoundError
from app.core.page import Page
from app.core.request_context import request_id_var, traceparent_var
from app.core.statements import Statements
from app.credits.request_budget import budget_of
from app.generations import service as generations
from app.generations.media_types import ContentType
from app.generations.models import Generation, Output
from app.generations.service import GenerationPolicy
from app.generations.states import ENDED, Status
from app.queue.protocol import WakeQueue

# How much of a prompt a list shows.
PROMPT_IN_LIST = 200


@dataclass(frozen=True)
class ContentWithOutputs:
    """A content and the files of its last attempt; none unless it is completed."""

    content: Generation
    outputs: Sequence[Output]


@dataclass(frozen=True)
class ListedContent:
    """A content in a list. `prompt` is one character longer than `PROMPT_IN_LIST` if the whole prompt is longer."""

    shown: ContentWithOutputs
    prompt: str


@dataclass(frozen=True)
class Retrier:
    """Who asks for a retry: a user of the organization, by an API key or, if `key_id` is None, in the console."""

    organization_id: str
    user_id: str
    key_id: str | None

    @classmethod
    def of(cls, caller: Caller) -> Self:
        """The caller of the API."""
        return cls(caller.organization_id, caller.user_id, caller.key_id)


async def list_content(tx: Transaction, wanted: ContentFilter, *, page: int, page_size: int) -> Page[ListedContent]:
    """One page of an organization's content, newest first.

    Raises:
        ContentRequestError: a filter names no type or status.
    """
    _check_filter("content_type", wanted.content_type, ContentType)
    _check_filter("status", wanted.status, Status)
    total = await repository.count_content(tx, wanted)
    offset = (page - 1) * page_size
    if offset >= total:
        return Page([], total, page, page_size)
    found = await repository.list_content(tx, wanted, offset=offset, limit=page_size, prompt_length=PROMPT_IN_LIST + 1)
    shown = await _with_outputs(tx, wanted.organization_id, [content for content, _ in found])
    items = [ListedContent(item, prompt) for item, (_, prompt) in zip(shown, found, strict=True)]
    return Page(items, total, page, page_size)


async def get_content(tx: Transaction, organization_id: str, content_id: str) -> ContentWithOutputs:
    """The state of one content of the organization, without its input and prompt.

    Raises:
        ContentNotFoundError: it has no content of that id, or the id is not a UUID.
    """
    content = await repository.find_content(tx, organization_id, _parse_id(content_id))
    return await _found(tx, content, content_id)


async def has_ended(run: Statements, organization_id: str, content_id: str) -> bool:
    """Whether a content of the organization has ended, in one statement.

    Raises:
        ContentNotFoundError: as `get_content`.
    """
    status = await repository.find_status(run, organization_id, _parse_id(content_id))
    if status is None:
        raise ContentNotFoundError(content_id)
    return status in ENDED


async def get_whole_content(tx: Transaction, organization_id: str, content_id: str) -> ContentWithOutputs:
    """One content of the organization with all that its detail shows.

    Raises:
        ContentNotFoundError: it has no content of that id, or the id is not a UUID.
    """
    content = await repository.find_whole_content(tx, organization_id, _parse_id(content_id))
    return await _found(tx, content, content_id)


async def get_whole_contents(
    tx: Transaction, organization_id: str, content_ids: Sequence[uuid.UUID]
) -> Sequence[ContentWithOutputs]:
    """Several contents of the organization with all that their details show, oldest first."""
    found = await repository.find_whole_contents(tx, organization_id, content_ids)
    return await _with_outputs(tx, organization_id, found)


async def get_file(tx: Transaction, token: str, name: str) -> File:
    """The file behind a `/files` URL. Whoever knows the token may read it.

    Raises:
        NotFoundError: there is none.
    """
    # Postgres rejects NUL characters in text.
    file = None if "\0" in token + name else await repository.find_file(tx, token, name)
    if file is None:
        raise NotFoundError
    return file


async def list_of_turn(tx: Transaction, organization_id: str, turn_id: str) -> Sequence[ContentWithOutputs]:
    """The content that a chat turn asked for, oldest first."""
    found = await repository.list_of_turn(tx, organization_id, turn_id)
    return await _with_outputs(tx, organization_id, found)


async def list_by_id(tx: Transaction, organization_id: str, ids: Sequence[uuid.UUID]) -> Sequence[ContentWithOutputs]:
    """These contents of the organization, in this order."""
    found = {each.id: each for each in await repository.list_by_id(tx, organization_id, ids)}
    return await _with_outputs(tx, organization_id, [found[each] for each in ids if each in found])


async def count_unended_among(run: Statements, organization_id: str, ids: Sequence[uuid.UUID]) -> int:
    """How many of these contents of the organization have not ended, in one statement."""
    return await repository.count_unended_among(run, organization_id, ids)


async def count_unended(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> int:
    """How many of the contents that a session asked for have not ended."""
    return await repository.count_unended(tx, organization_id, session_id)


async def retry(
    tx: Transaction,
    queue: WakeQueue,
    policy: GenerationPolicy,
    retrier: Retrier,
    content_id: str,
    max_credits: Decimal | None = None,
) -> Generation:
    """Queue a failed content again with its original parameters, at today's price.

    If two requests retry it at the same time, one wins; the other reads the state that the winner left.

    Raises:
        ContentNotFoundError: the organization has none of that id.
        ContentRequestError: it has not failed, or has been retried as often as it may.
        InsufficientCreditsError: the organization cannot pay the ceiling.
        MaxCreditsReachedError: the ceiling is more than `max_credits`.
    """
    found = (await get_content(tx, retrier.organization_id, content_id)).content
    _check_retry(found)
    if not await generations.retry(tx, queue, policy, found, _attribution(retrier, found), budget_of(max_credits)):
        _check_retry(found)
        raise ContentRequestError(f"Cannot retry content with status '{found.status}'.")
    return found


def _attribution(retrier: Retrier, content: Generation) -> Attribution:
    return Attribution(
        organization_id=retrier.organization_id,
        user_id=retrier.user_id,
        api_key_id=retrier.key_id,
        model=content.model,
        session_id=content.session_id,
        turn_id=content.turn_id,
        request_id=request_id_var.get(),
        traceparent=traceparent_var.get(),
    )


async def _found(tx: Transaction, content: Generation | None, content_id: str) -> ContentWithOutputs:
    if content is None:
        raise ContentNotFoundError(content_id)
    return (await _with_outputs(tx, content.organization_id, [content]))[0]


async def _with_outputs(
    tx: Transaction, organization_id: str, contents: Sequence[Generation]
) -> list[ContentWithOutputs]:
    completed = [content.id for content in contents if content.status == Status.COMPLETED]
    outputs = await repository.find_outputs(tx, organization_id, completed) if completed else []
    return [
        ContentWithOutputs(content, [output for output in outputs if output.generation_id == content.id])
        for content in contents
    ]


def _parse_id(content_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(content_id)
    except ValueError:
        raise ContentNotFoundError(content_id) from None


def _check_retry(content: Generation) -> None:
    if content.status != Status.FAILED:
        raise ContentRequestError(
            f"Cannot retry content with status '{content.status}'. Only failed content can be retried."
        )
    if content.retry_count >= content.max_retries:
        raise ContentRequestError(f"Maximum retry attempts ({content.max_retries}) reached for this content.")


def _check_filter(name: str, value: str | None, allowed: type[StrEnum]) -> None:
    if value is not None and value not in list(allowed):
        raise ContentRequestError(f"Invalid {name} '{value}'. Must be one of: {[str(each) for each in allowed]}")
