"""The bytes of a delivered file and the part of them that a request wants."""

import re
from dataclasses import dataclass

_PERIOD = 256
_MOST = 64 * 1024
_PATTERN = bytes(range(_PERIOD)) * (_MOST // _PERIOD + 1)
_RANGE = re.compile(r"bytes=(?P<first>\d{0,18})-(?P<last>\d{0,18})")


@dataclass(frozen=True, slots=True)
class Content:
    """What was rendered, then, up to the size, a pattern that is made while it is sent."""

    rendered: bytes
    size: int

    def read(self, start: int, stop: int) -> bytes:
        """The bytes from start up to stop, at most 64 kB."""
        head = self.rendered[start:stop]
        missing = max(0, min(stop, self.size) - start - len(head))
        phase = (start + len(head)) % _PERIOD
        return head + _PATTERN[phase : phase + missing]


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes from start up to, not including, stop."""

    start: int
    stop: int

    @property
    def length(self) -> int:
        """How many."""
        return self.stop - self.start


def wanted_range(header: str | None, size: int) -> ByteRange | None:
    """Read a ``Range`` header.

    Returns:
        The range; the whole content without a header or with one that may be ignored; None if it cannot be satisfied.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or not (match["first"] or match["last"]):
        return ByteRange(0, size)
    if not match["first"]:
        found = ByteRange(max(0, size - int(match["last"])), size)
    else:
        last = int(match["last"]) if match["last"] else size - 1
        found = ByteRange(int(match["first"]), min(last + 1, size))
    return found if found.length > 0 else None
