"""What a response says about its bytes, compared with those that arrive.

A connection that is closed early looks like the end of a body that has no length. Only a hash tells the two apart.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator
from typing import Protocol

# Hashes of hosts' own kinds, such as an ETag, are the MD5 of some files and something else for others.
_ALGORITHMS = {"md5": "md5", "sha": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
# RFC 9530 and, before it, RFC 3230.
_DIGEST_HEADERS = ("Repr-Digest", "Content-Digest", "Digest")


class Headers(Protocol):
    """The headers of a response."""

    def get(self, name: str, default: str, /) -> str:
        """The first header of this name."""
        ...

    def getall(self, name: str, default: list[str], /) -> list[str]:
        """All headers of this name."""
        ...


class _Hashes:
    """The hashes of some bytes, by their algorithms."""

    def __init__(self, algorithms: set[str]) -> None:
        self._hashes = {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}

    def add(self, chunk: bytes) -> None:
        for each in self._hashes.values():
            each.update(chunk)

    def has(self, algorithm: str, digest: bytes) -> bool:
        return self._hashes[algorithm].digest() == digest


class Digests:
    """The hashes that a host has sent with a body. Those that cannot be read are ignored."""

    def __init__(self, headers: Headers) -> None:
        self._expected = [*_of_digest_headers(headers), *_of_content_md5(headers), *_of_google(headers)]
        algorithms = {algorithm for algorithm, _ in self._expected}
        self._sent = _Hashes(algorithms)
        self._decoded = _Hashes(algorithms)

    def add_sent(self, chunk: bytes) -> None:
        """Count the next bytes of the body, as they were sent."""
        self._sent.add(chunk)

    def add_decoded(self, chunk: bytes) -> None:
        """Count the next bytes of the file."""
        self._decoded.add(chunk)

    def are_right(self) -> bool:
        """Whether each hash is that of the body, or that of the file: a proxy may encode a body and keep its hash."""
        return all(
            self._sent.has(algorithm, digest) or self._decoded.has(algorithm, digest)
            for algorithm, digest in self._expected
        )


def _of_digest_headers(headers: Headers) -> Iterator[tuple[str, bytes]]:
    for header in _DIGEST_HEADERS:
        yield from _named(headers.getall(header, []))


def _of_content_md5(headers: Headers) -> Iterator[tuple[str, bytes]]:
    yield from _named([f"md5={value}" for value in headers.getall("Content-MD5", [])])


def _of_google(headers: Headers) -> Iterator[tuple[str, bytes]]:
    # The hash of the object as it is stored, which Google decompresses for clients that do not accept gzip.
    stored = headers.get("x-goog-stored-content-encoding", "identity")
    if stored == headers.get("Content-Encoding", "identity"):
        yield from _named(headers.getall("x-goog-hash", []))


def _named(values: list[str]) -> Iterator[tuple[str, bytes]]:
    """The hashes in lists of `name=base64`. In newer headers, the value is between colons."""
    for part in ",".join(values).split(","):
        name, _, encoded = part.strip().partition("=")
        algorithm = _ALGORITHMS.get(name.lower())
        try:
            digest = base64.b64decode(encoded.strip().strip(":"), validate=True)
        except binascii.Error:
            continue
        if algorithm and len(digest) == hashlib.new(algorithm, usedforsecurity=False).digest_size:
            yield algorithm, digest
