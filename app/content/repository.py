"""The SQL of what clients see. `transitions.py` holds the SQL of what the worker does."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg import Record
from sqlalchemy import ColumnElement, and_, func, select

from app.core.database import Transaction
from app.generations.models import ContentOutput, GeneratedContent

_FIND_FILE = """
SELECT o.storage_path, o.media_type, o.size_bytes, o.sha256
FROM generated_content c JOIN content_outputs o ON o.content_id = c.id AND o.attempt = c.retry_count
WHERE c.file_token = $1 AND c.status = 'completed' AND o.size_bytes IS NOT NULL
  AND split_part(o.storage_path, '/', -1) = $2
"""


@dataclass(frozen=True)
class ContentFilter:
    """Which content of an organization is meant."""

    organization_id: str
    content_type: str | None = None
    status: str | None = None

    def condition(self) -> ColumnElement[bool]:
        """The filter as SQL."""
        conditions = [GeneratedContent.organization_id == self.organization_id]
        if self.content_type is not None:
            conditions.append(GeneratedContent.content_type == self.content_type)
        if self.status is not None:
            conditions.append(GeneratedContent.status == self.status)
        return and_(*conditions)


async def list_content(
    tx: Transaction, wanted: ContentFilter, *, offset: int, limit: int
) -> Sequence[GeneratedContent]:
    """One page, newest first."""
    query = (
        select(GeneratedContent)
        .where(wanted.condition())
        .order_by(GeneratedContent.created_at.desc(), GeneratedContent.id.desc())
        .offset(offset)
        .limit(limit)
    )
    return (await tx.session.scalars(query)).all()


async def count_content(tx: Transaction, wanted: ContentFilter) -> int:
    """How many there are in all."""
    query = select(func.count()).select_from(GeneratedContent).where(wanted.condition())
    return await tx.session.scalar(query) or 0


async def find_content(tx: Transaction, organization_id: str, content_id: uuid.UUID) -> GeneratedContent | None:
    """One content of the organization."""
    query = select(GeneratedContent).where(
        GeneratedContent.organization_id == organization_id, GeneratedContent.id == content_id
    )
    return (await tx.session.scalars(query)).first()


async def find_outputs(
    tx: Transaction, organization_id: str, content_ids: Sequence[uuid.UUID]
) -> Sequence[ContentOutput]:
    """The verified files of these contents' last attempts, in order."""
    query = (
        select(ContentOutput)
        .join(
            GeneratedContent,
            and_(
                GeneratedContent.id == ContentOutput.content_id,
                GeneratedContent.retry_count == ContentOutput.attempt,
            ),
        )
        .where(
            GeneratedContent.organization_id == organization_id,
            GeneratedContent.id.in_(content_ids),
            GeneratedContent.status == "completed",
            ContentOutput.size_bytes.is_not(None),
        )
        .order_by(ContentOutput.content_id, ContentOutput.position)
    )
    return (await tx.session.scalars(query)).all()


async def list_of_turn(tx: Transaction, organization_id: str, turn_id: str) -> Sequence[GeneratedContent]:
    """What a chat turn asked for, in order."""
    query = (
        select(GeneratedContent)
        .where(GeneratedContent.organization_id == organization_id, GeneratedContent.turn_id == turn_id)
        .order_by(GeneratedContent.created_at, GeneratedContent.id)
    )
    return (await tx.session.scalars(query)).all()


async def count_pending(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> int:
    """How much of what a session asked for is pending or processing."""
    query = (
        select(func.count())
        .select_from(GeneratedContent)
        .where(
            GeneratedContent.organization_id == organization_id,
            GeneratedContent.session_id == session_id,
            GeneratedContent.status.in_(("pending", "processing")),
        )
    )
    return await tx.session.scalar(query) or 0


async def find_file(tx: Transaction, token: str, name: str) -> Record | None:
    """The verified file behind a `/files` URL, as `storage_path`, `media_type`, `size_bytes` and `sha256`."""
    return await tx.fetchrow(_FIND_FILE, token, name)
