"""Which objects in the store belong to an attempt. A path is reserved before its bytes are written, so none is lost.

A claim writes only to paths that it has reserved itself, or that a claim before it has reserved and handed over. If a
lease ran out instead, its holder may still write, so the next claim's outputs have other, longer names. Only the
sweeper deletes objects, and only those of attempts that have ended and not been completed with them.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Self

from asyncpg import Record

from app.core.database import Transaction
from app.core.statements import Statements
from app.generations.attempts import AttemptLostError, ClaimedAttempt
from app.generations.media_types import ContentType, MediaType
from app.generations.states import CONDITIONS, State
from app.storage.protocol import Stored

_HELD = f"WHERE id = $1 AND retry_count = $2 AND claim = $3 AND {CONDITIONS[State.COPYING]}"
_LOCK_HELD = f"SELECT lapses FROM generations {_HELD} FOR UPDATE"
_LAPSE = f"UPDATE generations SET lapses = lapses + 1 {_HELD}"

_RESERVE = """
INSERT INTO outputs (generation_id, attempt, position, lapses, storage_path, content_type, media_type)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT DO NOTHING
RETURNING generation_id
"""

# The plain case: the claim is still its holder's, no lease has run out, and the shortest path is free. $1 to $3 are the
# keys of the claims. Rows that another transaction has locked are left out: nobody waits for them here.
_RESERVE_PLAIN = f"""
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::int[], $5::text[], $6::text[], $7::text[])
    WITH ORDINALITY AS given (id, number, held_claim, place, path, type, media, item)
), held AS (
    SELECT given.* FROM generations g JOIN given USING (id)
    WHERE g.retry_count = given.number AND g.claim = held_claim AND g.lapses = 0 AND {CONDITIONS[State.COPYING]}
    ORDER BY id FOR UPDATE OF g SKIP LOCKED
), inserted AS (
    INSERT INTO outputs (generation_id, attempt, position, lapses, storage_path, content_type, media_type)
    SELECT id, number, place, 0, path, type, media FROM held
    ON CONFLICT DO NOTHING
    RETURNING storage_path
)
SELECT item FROM given JOIN inserted ON storage_path = path
"""

_FIND = """
SELECT generation_id, attempt, position, lapses, storage_path, content_type, media_type FROM outputs
WHERE generation_id = $1 AND attempt = $2 AND position = $3 AND lapses = $4
"""

# What is verified is part of a completed content.
_RELEASE = """
DELETE FROM outputs
WHERE generation_id = $1 AND attempt = $2 AND position = $3 AND lapses = $4 AND size_bytes IS NULL
"""

# Only outputs that completed their attempt are verified. The others are few: those being copied and abandoned ones.
_ABANDONED = """
SELECT o.generation_id, o.attempt, o.position, o.lapses, o.storage_path, o.content_type, o.media_type
FROM outputs o
JOIN generations c ON c.id = o.generation_id
LEFT JOIN attempts a ON (a.generation_id, a.number) = (o.generation_id, o.attempt)
WHERE o.size_bytes IS NULL AND (o.generation_id, o.attempt, o.position, o.lapses) > ($2, $3, $4, $5)
  AND (o.attempt < c.retry_count OR (o.attempt = c.retry_count AND c.status IN ('completed', 'failed')))
  AND coalesce(a.ended_at, CASE WHEN o.attempt = c.retry_count THEN c.completed_at END, '-infinity')
      <= now() - $6::interval
ORDER BY o.generation_id, o.attempt, o.position, o.lapses LIMIT $1
"""

_COMPLETED = """
SELECT generation_id, attempt, position, lapses, storage_path, content_type, media_type, size_bytes, sha256 FROM outputs
WHERE size_bytes IS NOT NULL AND (generation_id, attempt, position, lapses) > ($2, $3, $4, $5)
ORDER BY generation_id, attempt, position, lapses LIMIT $1
"""
_IS_COMPLETED = "SELECT EXISTS (SELECT FROM outputs WHERE storage_path = $1 AND size_bytes IS NOT NULL)"

# Digits of the content's id in a path. The longer ones are used if another content has the path, and after a lapse.
_LENGTHS = (8, 12, 32)

# Content, attempt, position and lapses of the output after which a walk through the outputs continues.
Cursor = tuple[uuid.UUID, int, int, int]
START: Cursor = (uuid.UUID(int=0), 0, -1, 0)


@dataclass(frozen=True)
class ReservedOutput:
    """One object of an attempt."""

    generation_id: uuid.UUID
    attempt: int
    position: int
    lapses: int
    storage_path: str
    media: MediaType

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The object in a row of `outputs`."""
        path = row["storage_path"]
        return cls(
            generation_id=row["generation_id"],
            attempt=row["attempt"],
            position=row["position"],
            lapses=row["lapses"],
            storage_path=path,
            media=MediaType(ContentType(row["content_type"]), row["media_type"], path.rpartition(".")[2]),
        )

    @property
    def cursor(self) -> Cursor:
        """From where a walk continues after this object."""
        return self.generation_id, self.attempt, self.position, self.lapses


@dataclass(frozen=True)
class CompletedOutput:
    """An object of a completed content, with the size and the hash that it had when it was copied."""

    output: ReservedOutput
    stored: Stored


@dataclass(frozen=True)
class Wanted:
    """An output of a claimed attempt that is about to be written: which one from 0, and what it is."""

    attempt: ClaimedAttempt
    position: int
    media: MediaType

    @property
    def plain(self) -> ReservedOutput:
        """It with its shortest path."""
        path = storage_paths(self.attempt, self.position, self.media)[0]
        return ReservedOutput(self.attempt.generation_id, self.attempt.number, self.position, 0, path, self.media)


async def reserve(tx: Transaction, attempt: ClaimedAttempt, position: int, media: MediaType) -> ReservedOutput:
    """Reserve the path for one output of a claimed attempt. It is idempotent: asked again, it returns the same path.

    If a claim before this one has reserved it for another type, another path is reserved. The first one is abandoned.

    Raises:
        AttemptLostError: the claim was lost.
    """
    lapses = await tx.fetchval(_LOCK_HELD, *attempt.key)
    if lapses is None:
        raise AttemptLostError("the attempt is not this worker's any more")
    row = await tx.fetchrow(_FIND, attempt.generation_id, attempt.number, position, lapses)
    if row is not None:
        if row["storage_path"] in storage_paths(attempt, position, media, lapses):
            return ReservedOutput.from_row(row)
        await tx.execute(_LAPSE, *attempt.key)
        lapses += 1
    for path in storage_paths(attempt, position, media, lapses):
        output = ReservedOutput(attempt.generation_id, attempt.number, position, lapses, path, media)
        if await _insert(tx, output):
            return output
        # The path belongs to another content, or to an earlier copy of this attempt.
    raise LookupError(f"every path for output {position} of {attempt.generation_id} is taken")


async def reserve_plain(run: Statements, wanted: Sequence[Wanted]) -> list[bool]:
    """Reserve the shortest path for each of several outputs.

    Returns:
        For each in order whether that was done. If not, nothing was: `reserve` says why, or finds another path.
    """
    rows = await run.fetch(
        _RESERVE_PLAIN,
        *(list(column) for column in zip(*(each.attempt.key for each in wanted), strict=True)),
        [each.position for each in wanted],
        [each.plain.storage_path for each in wanted],
        [each.media.content_type for each in wanted],
        [each.media.media_type for each in wanted],
    )
    done = {row["item"] for row in rows}
    return [item in done for item in range(1, len(wanted) + 1)]


async def reserve_again(tx: Transaction, written: Sequence[ReservedOutput]) -> None:
    """Make rows again for objects that were written although their rows had been released: the sweeper finds them."""
    for output in written:
        await _insert(tx, output)


async def release(tx: Transaction, output: ReservedOutput) -> None:
    """Forget an object that has been deleted from the store."""
    await tx.execute(_RELEASE, *output.cursor)


async def find_abandoned(tx: Transaction, after: Cursor, limit: int, wait: timedelta) -> list[ReservedOutput]:
    """Objects, after the cursor, of attempts that ended at least `wait` ago and were not completed with them."""
    return [ReservedOutput.from_row(row) for row in await tx.fetch(_ABANDONED, limit, *after, wait)]


async def list_completed(tx: Transaction, after: Cursor, limit: int) -> list[CompletedOutput]:
    """The objects of completed contents, in the order of a walk: all that the store has to have."""
    return [
        CompletedOutput(ReservedOutput.from_row(row), Stored(row["size_bytes"], row["sha256"]))
        for row in await tx.fetch(_COMPLETED, limit, *after)
    ]


async def is_completed(tx: Transaction, path: str) -> bool:
    """Whether the object at a path is one of a completed content."""
    found: bool = await tx.fetchval(_IS_COMPLETED, path)
    return found


async def _insert(tx: Transaction, output: ReservedOutput) -> bool:
    values = (output.storage_path, output.media.content_type, output.media.media_type)
    return await tx.fetchval(_RESERVE, *output.cursor, *values) is not None


def storage_paths(attempt: ClaimedAttempt, position: int, media: MediaType, lapses: int = 0) -> list[str]:
    """The path of an output, and the longer ones to use if it is taken.

    Each time that a lease on the attempt's copy has run out, it begins with a longer one. The last one ends with the
    claim's number, and is never taken.
    """
    moment = attempt.created_at.astimezone(UTC).strftime("%Y%m%d_%H%M%S")
    retry = f"_r{attempt.number}" if attempt.number else ""
    further = f"_{position + 1}" if position else ""
    digits = attempt.generation_id.hex
    names = [*(digits[:length] for length in _LENGTHS), f"{digits}-{attempt.claim}"]
    return [
        f"generation/{media.content_type}/{name}_{moment}{retry}{further}.{media.extension}"
        for name in names[min(lapses, len(_LENGTHS)) :]
    ]
