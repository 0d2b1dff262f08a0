from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from app.core.errors import AppError


@dataclass(frozen=True)
class Stored:
    """What stands in the store: its size in bytes and the hexadecimal SHA-256 of its bytes."""

    size: int
    sha256: str


@dataclass(frozen=True)
class ByteRange:
    """Bytes `first` to `last`, both counted from 0 and both included."""

    first: int
    last: int


class StoreError(AppError):
    """The object store refused or failed; what was being written is not visible under its path."""

    status = 503
    code = "service_unavailable"
    retryable = True
    message = "The object store is temporarily unavailable"


class ObjectMissingError(StoreError):
    retryable = False
    message = "No object stands at that path"


class ObjectStore(Protocol):
    """Where the bytes of generated content are kept. Paths are relative, with `/`, without `..`."""

    async def write(self, path: str, chunks: AsyncIterable[bytes], *, media_type: str) -> Stored:
        """Store the chunks as one object, in bounded memory; it becomes visible whole or not at all.

        An object that stands at `path` is replaced. When `chunks` raises, nothing stays behind and the error
        passes through.

        Returns:
            Size and hash of what was sent, counted while sending.

        Raises:
            StoreError: the store failed.
        """
        ...

    async def verify(self, path: str) -> Stored:
        """Read the object back from the store, in bounded memory, and say what really stands there.

        Raises:
            ObjectMissingError: there is none.
            StoreError: the store failed.
        """
        ...

    def read(self, path: str, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        """The object's bytes, or those of the range, in chunks.

        Raises:
            ObjectMissingError: there is none.
            StoreError: the store failed.
        """
        ...

    async def delete(self, path: str) -> None:
        """Remove the object; it is no error when there is none."""
        ...

    def paths(self, prefix: str) -> AsyncIterator[str]:
        """The paths of all objects that start with `prefix`, in order."""
        ...

    def public_url(self, path: str) -> str | None:
        """A permanent URL that anybody may read, or None where the store is private."""
        ...

    async def presigned_url(self, path: str, *, filename: str) -> str | None:
        """A short-lived URL for one download, or None where the store offers none to clients."""
        ...

    async def close(self) -> None:
        """Give back connections and threads."""
        ...
