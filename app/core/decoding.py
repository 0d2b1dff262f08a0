"""Content encodings: of requests, and of files from hosts that use one although they are asked for none."""

import zlib
from collections.abc import Iterator
from typing import Protocol

_PIECE_BYTES = 256 * 1024
_GZIP, _ZLIB, _RAW_DEFLATE = 31, 15, -15  # zlib's numbers for the three formats
_GZIP_MAGIC = b"\x1f"
_ZLIB_METHOD = 8


class DamagedEncodingError(Exception):
    """The body is not what its encoding says, or has no end."""


class Decoder(Protocol):
    """Decodes one body."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """What the next bytes of the body decode to, in pieces of bounded size."""
        ...

    def rest(self) -> bytes:
        """What comes after the last bytes of the body.

        Raises:
            DamagedEncodingError: the body has no end.
        """
        ...


class Identity:
    """The decoder of a body without an encoding."""

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder.pieces`."""
        yield data

    def rest(self) -> bytes:
        """See `Decoder.rest`."""
        return b""


class Inflater:
    """Decodes `gzip` and `deflate`. A body of any compression needs no more memory than a piece and its input.

    `most_parts` bounds how many parts a body in gzip may have; None is for bodies of any number.
    """

    def __init__(self, *, is_gzip: bool, most_parts: int | None = None) -> None:
        self._is_gzip = is_gzip
        self._parts_left = most_parts
        self._inflating = zlib.decompressobj(_GZIP) if is_gzip else None

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """See `Decoder.pieces`.

        Raises:
            DamagedEncodingError: it is not what the encoding says.
        """
        while data:
            inflating = self._inflater_of(data)
            if inflating.eof:
                return  # padding after the end
            try:
                piece = inflating.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise DamagedEncodingError(str(error)) from error
            data = inflating.unconsumed_tail or inflating.unused_data
            if piece:
                yield piece

    def rest(self) -> bytes:
        """See `Decoder.rest`."""
        if self._inflating is None:
            return b""
        last = self._inflating.flush()
        if not self._inflating.eof:
            raise DamagedEncodingError("it has no end")
        return last

    def _inflater_of(self, data: bytes) -> "zlib._Decompress":
        if self._inflating is None:
            # `deflate` means the format of zlib, but some servers send it without the header of zlib.
            is_zlib = data[0] & 0x0F == _ZLIB_METHOD
            self._inflating = zlib.decompressobj(_ZLIB if is_zlib else _RAW_DEFLATE)
        elif self._inflating.eof and self._is_gzip and data.startswith(_GZIP_MAGIC):
            self._count_part()
            self._inflating = zlib.decompressobj(_GZIP)  # gzip may consist of several parts
        return self._inflating

    def _count_part(self) -> None:
        if self._parts_left is None:
            return
        self._parts_left -= 1
        if self._parts_left < 1:
            raise DamagedEncodingError("it has too many parts")


def decoder_of(content_encoding: str, *, most_parts: int | None = None) -> Decoder | None:
    """The decoder of a body with this `Content-Encoding`; None if there is none for it."""
    names = [name for part in content_encoding.split(",") if (name := part.strip().lower()) not in {"", "identity"}]
    if not names:
        return Identity()
    if names in (["gzip"], ["x-gzip"]):
        return Inflater(is_gzip=True, most_parts=most_parts)
    return Inflater(is_gzip=False) if names == ["deflate"] else None
