from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.core.errors import AppError

_RETRY_AFTER_SECONDS = 5

# What a probe writes and reads.
PROBE = b"junis"


@dataclass(frozen=True)
class Stored:
    """What is stored: its size in bytes and the hexadecimal SHA-256 of its bytes."""

    size: int
    sha256: str


@dataclass(frozen=True)
class ByteRange:
    """The bytes from `first` to `last`, both counted from 0 and both included."""

    first: int
    last: int


class StoreFault(StrEnum):
    """Why a store cannot be used. Only the first goes away by itself; the others need the operator."""

    UNAVAILABLE = "unavailable"
    REFUSED = "refused"
    BUCKET_MISSING = "bucket_missing"
    NOT_WRITABLE = "not_writable"
    FULL = "full"


class StoreError(AppError):
    """The object store refused or failed. What was being written is not visible at its path.

    `str()` says to the operator what is wrong and where. A client only learns that it may try again.
    """

    status = 503
    code = "service_unavailable"
    retryable = True
    message = "The object store is temporarily unavailable"

    def __init__(self, detail: str | None = None, *, fault: StoreFault = StoreFault.UNAVAILABLE) -> None:
        super().__init__(retry_after=_RETRY_AFTER_SECONDS if self.retryable else None)
        self.detail = detail or self.message
        self.fault = fault

    def __str__(self) -> str:
        return self.detail


class ObjectMissingError(StoreError):
    retryable = False
    message = "There is no object at that path"


class ObjectIsNoFileError(ObjectMissingError):
    """There is something else than a file at the path, which is as good as nothing."""

    status = 404
    type = "not_found_error"
    code = "not_found"


class ObjectStore(Protocol):
    """Stores the bytes of generated content. Paths are relative, with `/` and without `..`."""

    async def write(self, path: str, chunks: AsyncIterable[bytes], *, media_type: str) -> Stored:
        """Store the chunks as one object, in bounded memory. It becomes visible whole or not at all.

        An object that exists at `path` is replaced. If `chunks` raises an error, nothing is left behind and the error
        is raised to the caller.

        Returns:
            Size and hash of what was sent, counted while sending.

        Raises:
            StoreError: the store failed.
        """
        ...

    async def verify(self, path: str) -> Stored:
        """Read the object back from the store, in bounded memory, to find out what is really there.

        Raises:
            ObjectMissingError: there is no object at that path.
            StoreError: the store failed.
        """
        ...

    def read(self, path: str, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        """The bytes of the object, or those of the range, in chunks.

        Raises:
            ObjectMissingError: there is no object at that path.
            StoreError: the store failed.
        """
        ...

    async def delete(self, path: str) -> None:
        """Remove the object. If there is none, nothing happens."""
        ...

    async def probe(self) -> None:
        """Write a few bytes and read them back, as a copy does, without leaving an object among the others.

        It needs no more permissions than the other methods, and does not wait behind them.

        Raises:
            StoreError: the store cannot be used.
        """
        ...

    def public_url(self, path: str) -> str | None:
        """A permanent URL that anybody may read, or None if the store is private."""
        ...

    async def presigned_url(self, path: str, *, filename: str) -> str | None:
        """A short-lived URL for one download, or None if clients cannot reach the store."""
        ...

    async def close(self) -> None:
        """Close connections and end threads."""
        ...
