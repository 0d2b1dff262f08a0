"""Files that clients send for their generations: kept until no attempt can need them."""

import hashlib
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Self

from app.core.database import Database, Transaction
from app.core.errors import NotFoundError
from app.idempotency import service as idempotency
from app.input_files import repository
from app.input_files.file_names import Reference
from app.input_files.repository import StoredFile

# How long after its request a failed generation finds its files again.
RETRIED: Final = timedelta(days=30)
_BATCH: Final = 100


@dataclass(frozen=True)
class SentFiles:
    """The files of one request. `names`: what its generations' input calls them, in the order of the files."""

    organization_id: str
    request_key: bytes | None
    files: Mapping[Reference, StoredFile]
    names: Sequence[str]

    @classmethod
    async def of(
        cls, tx: Transaction, organization_id: str, request_key: bytes | None, sent: Iterable[tuple[str, bytes]]
    ) -> Self:
        """Name files, given their media types and bytes; as an earlier run of the same request has, if there was one.

        They are stored by `keep`, in the same transaction.
        """
        known = {} if request_key is None else await repository.find_sent(tx, organization_id, request_key)
        files: dict[Reference, StoredFile] = {}
        names: list[str] = []
        ids = dict(known)
        for media_type, data in sent:
            digest = hashlib.sha256(data).hexdigest()
            file_id = ids.setdefault(digest, uuid.uuid4())
            reference = Reference(file_id, digest, media_type)
            files[reference] = StoredFile(media_type, digest, data)
            names.append(str(reference))
        return cls(organization_id, request_key, files, names)

    async def keep(self, tx: Transaction, generation_ids: Sequence[uuid.UUID]) -> None:
        """Store the files for these generations."""
        for reference, file in self.files.items():
            await repository.add(tx, reference.id, self.organization_id, self.request_key, file, generation_ids)


async def get_file(tx: Transaction, file_id: str) -> StoredFile:
    """The file with that id, which is the permission to read it.

    Raises:
        NotFoundError: there is none, or it is gone.
    """
    try:
        found = await repository.find(tx, uuid.UUID(file_id))
    except ValueError:
        found = None
    if found is None:
        raise NotFoundError("File not found")
    return found


async def prune_batch(database: Database) -> tuple[int, bool]:
    """Delete some files that nothing can need any more. Returns how many, and whether that was all."""
    async with database.transaction() as tx:
        count = await repository.prune(tx, retried=RETRIED, repeated=idempotency.LIFETIME, limit=_BATCH)
    return count, count < _BATCH


async def count_prunable(tx: Transaction) -> int:
    """How many files nothing can need any more."""
    return await repository.count_prunable(tx, retried=RETRIED, repeated=idempotency.LIFETIME)
