import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.core.database import Transaction, one_of
from app.generations.states import UNENDED, Status

_FIND_SENT = """
SELECT DISTINCT ON (sha256) sha256, id FROM (
    SELECT sha256, id FROM input_files WHERE organization_id = $1 AND request_key = $2 FOR UPDATE
) known ORDER BY sha256, id
"""
_ADD = """
INSERT INTO input_files (id, organization_id, request_key, media_type, sha256, data, generation_ids)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET generation_ids = input_files.generation_ids || excluded.generation_ids
"""
_SIZES = "SELECT id, octet_length(data) AS size FROM input_files WHERE organization_id = $1 AND id = ANY($2::uuid[])"
_READ = "SELECT id, data FROM input_files WHERE organization_id = $1 AND id = ANY($2::uuid[])"
_FIND = "SELECT media_type, sha256, data FROM input_files WHERE id = $1"
# An attempt may yet begin, or the request be repeated with its Idempotency-Key. $1: how long failures may be retried,
# $2: how long a key lives.
_IS_DONE_WITH = f"""
NOT EXISTS (
    SELECT FROM generations g WHERE g.id = ANY(f.generation_ids)
      AND ({one_of("g.status", UNENDED)}
           OR (g.status = '{Status.FAILED}' AND g.retry_count < g.max_retries AND f.created_at > now() - $1::interval))
) AND (f.request_key IS NULL OR f.created_at < now() - $2::interval)
"""
_PRUNE = f"""
WITH old AS MATERIALIZED (
    SELECT id FROM input_files f WHERE {_IS_DONE_WITH} ORDER BY created_at LIMIT $3 FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM input_files USING old WHERE input_files.id = old.id RETURNING 1
)
SELECT count(*) FROM gone
"""
_COUNT = f"SELECT count(*) FROM input_files f WHERE {_IS_DONE_WITH}"


@dataclass(frozen=True)
class StoredFile:
    """A file as it was sent."""

    media_type: str
    sha256: str
    data: bytes


async def find_sent(tx: Transaction, organization_id: str, request_key: bytes) -> Mapping[str, uuid.UUID]:
    """The files of earlier runs of a request, by their SHA-256. They are locked against whoever prunes."""
    return {row["sha256"]: row["id"] for row in await tx.fetch(_FIND_SENT, organization_id, request_key)}


async def add(
    tx: Transaction,
    file_id: uuid.UUID,
    organization_id: str,
    request_key: bytes | None,
    file: StoredFile,
    generation_ids: Sequence[uuid.UUID],
) -> None:
    """Store a file for these generations; if it is stored already, for these as well."""
    values = (file.media_type, file.sha256, file.data, list(generation_ids))
    await tx.execute(_ADD, file_id, organization_id, request_key, *values)


async def find_sizes(tx: Transaction, organization_id: str, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, int]:
    """How many bytes those of the files have that are there."""
    return {row["id"]: row["size"] for row in await tx.fetch(_SIZES, organization_id, list(ids))}


async def read(tx: Transaction, organization_id: str, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, bytes]:
    """The bytes of those of the files that are there."""
    return {row["id"]: row["data"] for row in await tx.fetch(_READ, organization_id, list(ids))}


async def find(tx: Transaction, file_id: uuid.UUID) -> StoredFile | None:
    """The file with that id, whosever it is."""
    row = await tx.fetchrow(_FIND, file_id)
    return None if row is None else StoredFile(row["media_type"], row["sha256"], row["data"])


async def prune(tx: Transaction, *, retried: timedelta, repeated: timedelta, limit: int) -> int:
    """Delete some of the files that nothing can need any more, the oldest first. Returns how many."""
    count: int = await tx.fetchval(_PRUNE, retried, repeated, limit)
    return count


async def count_prunable(tx: Transaction, *, retried: timedelta, repeated: timedelta) -> int:
    """How many files nothing can need any more."""
    count: int = await tx.fetchval(_COUNT, retried, repeated)
    return count
