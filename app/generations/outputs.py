"""Which objects belong to an attempt. A path is written down before its bytes are, so that none is lost sight of."""

import uuid
from dataclasses import dataclass
from datetime import UTC

from app.core.database import Transaction
from app.generations.attempts import Generation
from app.generations.media_types import MediaType

_RESERVE = """
INSERT INTO content_outputs (content_id, attempt, position, storage_path, content_type, media_type)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT DO NOTHING
RETURNING storage_path
"""

# Verified is only what completed its attempt. The rest is little: what is being copied, and what is looked for here.
_ABANDONED = """
SELECT o.content_id, o.attempt, o.position, o.storage_path
FROM content_outputs o JOIN generated_content c ON c.id = o.content_id
WHERE o.size_bytes IS NULL AND (o.content_id, o.attempt, o.position) > ($2, $3, $4)
  AND (o.attempt < c.retry_count OR (o.attempt = c.retry_count AND c.status = 'failed'))
ORDER BY o.content_id, o.attempt, o.position LIMIT $1
"""

# A content, an attempt and a position: where a look through the objects has come to.
Place = tuple[uuid.UUID, int, int]
FIRST_PLACE: Place = (uuid.UUID(int=0), 0, -1)


@dataclass(frozen=True)
class Reserved:
    """One object of an attempt."""

    content_id: uuid.UUID
    attempt: int
    position: int
    storage_path: str

    @property
    def place(self) -> Place:
        """Where a look goes on behind this object."""
        return self.content_id, self.attempt, self.position


async def reserve(tx: Transaction, generation: Generation, position: int, media: MediaType) -> Reserved | None:
    """The object for one output of the attempt, the same one whenever it is asked for again.

    Returns:
        The object; None where this output has been reserved under another type, which `find_at` tells.
    """
    key = (generation.id, generation.attempt, position)
    paths = storage_paths(generation, position, media)
    for path in paths:
        if await tx.fetchval(_RESERVE, *key, path, media.content_type, media.media_type) is not None:
            return Reserved(*key, path)
        known = await find_at(tx, *key)
        if known is not None:
            return known if known.storage_path in paths else None
        # The path is another content's.
    raise LookupError(f"every path for output {position} of {generation.id} is taken")


async def find_at(tx: Transaction, content_id: uuid.UUID, attempt: int, position: int) -> Reserved | None:
    """The object that is reserved for an output."""
    row = await tx.fetchrow(
        "SELECT content_id, attempt, position, storage_path FROM content_outputs"
        " WHERE content_id = $1 AND attempt = $2 AND position = $3",
        content_id,
        attempt,
        position,
    )
    return Reserved(**row) if row else None


async def is_reserved(tx: Transaction, storage_path: str) -> bool:
    """Whether an object at this path belongs to any attempt."""
    return bool(await tx.fetchval("SELECT EXISTS (SELECT FROM content_outputs WHERE storage_path = $1)", storage_path))


async def release(tx: Transaction, reserved: Reserved) -> None:
    """Forget an object that no longer stands in the store."""
    await tx.execute(
        "DELETE FROM content_outputs WHERE content_id = $1 AND attempt = $2 AND position = $3",
        reserved.content_id,
        reserved.attempt,
        reserved.position,
    )


async def find_abandoned(tx: Transaction, after: Place, limit: int) -> list[Reserved]:
    """Objects of attempts that failed, behind that place."""
    return [Reserved(**row) for row in await tx.fetch(_ABANDONED, limit, *after)]


def storage_paths(generation: Generation, position: int, media: MediaType) -> list[str]:
    """The path of an output, and the longer ones for when another content has it already."""
    moment = generation.created_at.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
    retry = f"_r{generation.attempt}" if generation.attempt else ""
    further = f"_{position + 1}" if position else ""
    return [
        f"generation/{media.content_type}/{generation.id.hex[:length]}_{moment}{retry}{further}.{media.extension}"
        for length in (8, 12, 32)
    ]
