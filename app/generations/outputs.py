"""Which objects in the store belong to an attempt. A path is reserved before its bytes are written, so none is lost."""

import uuid
from dataclasses import dataclass
from datetime import UTC
from typing import Self

from asyncpg import Record

from app.core.database import Transaction
from app.generations.attempts import ClaimedAttempt
from app.generations.media_types import MediaType

_RESERVE = """
INSERT INTO outputs (generation_id, attempt, position, storage_path, content_type, media_type)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING storage_path
"""

_FIND = """
SELECT generation_id, attempt, position, storage_path FROM outputs
WHERE generation_id = $1 AND attempt = $2 AND position = $3
"""

_IS_RESERVED = "SELECT EXISTS (SELECT FROM outputs WHERE storage_path = $1)"

_RELEASE = "DELETE FROM outputs WHERE generation_id = $1 AND attempt = $2 AND position = $3"

# Verified is only what completed its attempt. The rest is little: what is being copied, and what is looked for here.
_ABANDONED = """
SELECT o.generation_id, o.attempt, o.position, o.storage_path
FROM outputs o JOIN generations c ON c.id = o.generation_id
WHERE o.size_bytes IS NULL AND (o.generation_id, o.attempt, o.position) > ($2, $3, $4)
  AND (o.attempt < c.retry_count OR (o.attempt = c.retry_count AND c.status = 'failed'))
ORDER BY o.generation_id, o.attempt, o.position LIMIT $1
"""

# Content, attempt and position: where a walk through the outputs continues.
Cursor = tuple[uuid.UUID, int, int]
START: Cursor = (uuid.UUID(int=0), 0, -1)


@dataclass(frozen=True)
class ReservedOutput:
    """One object of an attempt."""

    generation_id: uuid.UUID
    attempt: int
    position: int
    storage_path: str

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The object in a row of `outputs`."""
        return cls(row["generation_id"], row["attempt"], row["position"], row["storage_path"])

    @property
    def cursor(self) -> Cursor:
        """Where a walk continues behind this object."""
        return self.generation_id, self.attempt, self.position


async def reserve(tx: Transaction, attempt: ClaimedAttempt, position: int, media: MediaType) -> ReservedOutput | None:
    """Reserve the path for one output of the attempt; asked again, it is the same path.

    Returns:
        The object; None if this output has been reserved with another type, see `find`.
    """
    key = (attempt.generation_id, attempt.number, position)
    paths = storage_paths(attempt, position, media)
    for path in paths:
        if await tx.fetchval(_RESERVE, *key, path, media.content_type, media.media_type) is not None:
            return ReservedOutput(*key, path)
        known = await find(tx, *key)
        if known is not None:
            return known if known.storage_path in paths else None
        # The path is another content's.
    raise LookupError(f"every path for output {position} of {attempt.generation_id} is taken")


async def find(tx: Transaction, generation_id: uuid.UUID, attempt: int, position: int) -> ReservedOutput | None:
    """The object that is reserved for an output."""
    row = await tx.fetchrow(_FIND, generation_id, attempt, position)
    return ReservedOutput.from_row(row) if row else None


async def is_reserved(tx: Transaction, storage_path: str) -> bool:
    """Whether the object at this path belongs to an attempt."""
    return bool(await tx.fetchval(_IS_RESERVED, storage_path))


async def release(tx: Transaction, output: ReservedOutput) -> None:
    """Forget an object that has been deleted from the store."""
    await tx.execute(_RELEASE, *output.cursor)


async def find_abandoned(tx: Transaction, after: Cursor, limit: int) -> list[ReservedOutput]:
    """Objects of attempts that failed, behind the cursor."""
    return [ReservedOutput.from_row(row) for row in await tx.fetch(_ABANDONED, limit, *after)]


def storage_paths(attempt: ClaimedAttempt, position: int, media: MediaType) -> list[str]:
    """The path of an output, and the longer ones to use if another content has taken it."""
    moment = attempt.created_at.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
    retry = f"_r{attempt.number}" if attempt.number else ""
    further = f"_{position + 1}" if position else ""
    return [
        f"generation/{media.content_type}/{attempt.generation_id.hex[:length]}_{moment}{retry}{further}.{media.extension}"
        for length in (8, 12, 32)
    ]
