import re
from collections.abc import Mapping

from app.core.errors import AppError
from app.storage.protocol import ByteRange

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class RangeNotSatisfiableError(AppError):
    status = 416
    type = "invalid_request_error"
    code = "invalid_request"
    message = "The range begins beyond the end of the file"

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def headers(self) -> Mapping[str, str]:
        return {**super().headers(), "Content-Range": f"bytes */{self._size}"}


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The one range that a `Range` header asks for, cut to a file of `size` bytes.

    None, for the whole file, if there is no header, or if it is malformed or names several ranges: a server may ignore
    those (RFC 9110, section 14.2).

    Raises:
        RangeNotSatisfiableError: it begins beyond the end.
    """
    match = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if match is None or match[0] == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size - 1
    else:
        start, end = int(first), min(int(last) if last else size - 1, size - 1)
    if last and first and int(last) < int(first):
        return None
    if start >= size:
        raise RangeNotSatisfiableError(size)
    return ByteRange(start, end)
