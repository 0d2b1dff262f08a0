"""The SQL of what the API shows of generations."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from asyncpg import Record
from sqlalchemy import ColumnElement, Integer, and_, bindparam, func, select
from sqlalchemy.orm import undefer

from app.core.database import Transaction, one_of
from app.core.statements import Statements
from app.generations.models import Generation, Output
from app.generations.states import CONDITIONS, UNENDED, State, Status
from app.list_counts.models import CountedList
from app.list_counts.repository import find_total

_FIND_FILE = f"""
SELECT storage_path, media_type, size_bytes, sha256
FROM generations JOIN outputs ON generation_id = id AND attempt = retry_count
WHERE file_token = $1 AND {CONDITIONS[State.COMPLETED]} AND size_bytes IS NOT NULL
  AND split_part(storage_path, '/', -1) = $2
"""

_COUNT_UNENDED = f"""
SELECT count(*) FROM generations
WHERE organization_id = $1 AND id = ANY($2::uuid[]) AND {one_of("status", UNENDED)}
"""
_FIND_STATUS = "SELECT status FROM generations WHERE organization_id = $1 AND id = $2"


@dataclass(frozen=True)
class File:
    """A verified output in the store."""

    storage_path: str
    media_type: str
    size_bytes: int
    sha256: str

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The file in a row of `outputs`."""
        return cls(
            storage_path=row["storage_path"],
            media_type=row["media_type"],
            size_bytes=row["size_bytes"],
            sha256=row["sha256"],
        )


@dataclass(frozen=True)
class ContentFilter:
    """Selects content of an organization: all of it, or one type or status, which must be one that there is."""

    organization_id: str
    content_type: str | None = None
    status: str | None = None

    def condition(self) -> ColumnElement[bool]:
        """The filter as SQL."""
        conditions = [Generation.organization_id == self.organization_id]
        # Written out, so that a plan that is kept for all parameters uses the indexes of one status or of typed rows.
        if self.content_type is not None:
            conditions.append(Generation.content_type == bindparam(None, self.content_type, literal_execute=True))
        if self.status is not None:
            conditions.append(Generation.status == bindparam(None, self.status, literal_execute=True))
        return and_(*conditions)


async def list_content(
    tx: Transaction, wanted: ContentFilter, *, offset: int, limit: int, prompt_length: int
) -> Sequence[tuple[Generation, str]]:
    """One page, newest first, each with the first `prompt_length` characters of its prompt.

    What comes before the page is passed over in an index; only the page's own rows are read.
    """
    newest_first = (Generation.created_at.desc(), Generation.id.desc())
    # Written out, so that a plan that is kept for all parameters knows how few rows these are.
    size = bindparam(None, limit, Integer, literal_execute=True)
    page = select(Generation.id).where(wanted.condition()).order_by(*newest_first).offset(offset).limit(size).subquery()
    query = (
        select(Generation, func.left(Generation.prompt, prompt_length))
        .join(page, page.c.id == Generation.id)
        .order_by(*newest_first)
    )
    return [(content, prompt) for content, prompt in await tx.session.execute(query)]


async def count_content(tx: Transaction, wanted: ContentFilter) -> int:
    """How many contents the filter selects, without reading them."""
    return await find_total(
        tx,
        wanted.organization_id,
        CountedList.CONTENT,
        status=wanted.status,
        content_type=wanted.content_type,
    )


async def find_content(tx: Transaction, organization_id: str, content_id: uuid.UUID) -> Generation | None:
    """One content of the organization, without its input and prompt; None if it has none of this id."""
    query = select(Generation).where(Generation.organization_id == organization_id, Generation.id == content_id)
    return (await tx.session.scalars(query)).first()


async def find_whole_content(tx: Transaction, organization_id: str, content_id: uuid.UUID) -> Generation | None:
    """One content of the organization with its input and prompt; None if it has none of this id."""
    return next(iter(await find_whole_contents(tx, organization_id, [content_id])), None)


async def find_whole_contents(
    tx: Transaction, organization_id: str, content_ids: Sequence[uuid.UUID]
) -> Sequence[Generation]:
    """Contents of the organization with their inputs and prompts, oldest first."""
    query = (
        select(Generation)
        .where(Generation.organization_id == organization_id, Generation.id.in_(content_ids))
        .order_by(Generation.created_at, Generation.id)
        .options(undefer(Generation.input), undefer(Generation.prompt))
        .execution_options(populate_existing=True)
    )
    return (await tx.session.scalars(query)).all()


async def find_outputs(tx: Transaction, organization_id: str, content_ids: Sequence[uuid.UUID]) -> Sequence[Output]:
    """The verified files of these contents' last attempts, in order."""
    query = (
        select(Output)
        .join(
            Generation,
            and_(
                Generation.id == Output.generation_id,
                Generation.retry_count == Output.attempt,
            ),
        )
        .where(
            Generation.organization_id == organization_id,
            Generation.id.in_(content_ids),
            Generation.status == Status.COMPLETED,
            Output.size_bytes.is_not(None),
        )
        .order_by(Output.generation_id, Output.position)
    )
    return (await tx.session.scalars(query)).all()


async def list_of_turn(tx: Transaction, organization_id: str, turn_id: str) -> Sequence[Generation]:
    """The content that a chat turn asked for, oldest first."""
    query = (
        select(Generation)
        .where(Generation.organization_id == organization_id, Generation.turn_id == turn_id)
        .order_by(Generation.created_at, Generation.id)
    )
    return (await tx.session.scalars(query)).all()


async def count_unended(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> int:
    """How many of the contents that a session asked for are pending or processing."""
    query = (
        select(func.count())
        .select_from(Generation)
        .where(
            Generation.organization_id == organization_id,
            Generation.session_id == session_id,
            Generation.status.in_(UNENDED),
        )
    )
    return await tx.session.scalar(query) or 0


async def list_by_id(tx: Transaction, organization_id: str, ids: Sequence[uuid.UUID]) -> Sequence[Generation]:
    """These contents of the organization, in any order."""
    query = select(Generation).where(Generation.organization_id == organization_id, Generation.id.in_(ids))
    return (await tx.session.scalars(query)).all()


async def count_unended_among(run: Statements, organization_id: str, ids: Sequence[uuid.UUID]) -> int:
    """How many of these contents of the organization are pending or processing."""
    unended: int = await run.fetchval(_COUNT_UNENDED, organization_id, list(ids))
    return unended


async def find_file(tx: Transaction, token: str, name: str) -> File | None:
    """The file behind a `/files` URL."""
    row = await tx.fetchrow(_FIND_FILE, token, name)
    return File.from_row(row) if row else None


async def find_status(run: Statements, organization_id: str, content_id: uuid.UUID) -> str | None:
    """The status of one content of the organization; None if it has no such content."""
    status: str | None = await run.fetchval(_FIND_STATUS, organization_id, content_id)
    return status
