"""Bodies in `multipart/form-data`: they are in memory as a whole, so the boundary is looked for in all of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from python_multipart.multipart import parse_options_header

from app.core.errors import InvalidRequestError

FORM: Final = "multipart/form-data"
_MOST_HEADER_BYTES: Final = 8 * 1024
# RFC 2046. Shorter ones are found faster than a client can send them.
_LONGEST_BOUNDARY: Final = 70


@dataclass(frozen=True)
class Part:
    """A field of a form. `filename` is None if it is a text, and may be empty."""

    name: str
    filename: str | None
    content: bytes

    def text(self) -> str:
        """The field as a text.

        Raises:
            InvalidRequestError: it is not UTF-8, or holds a NUL character.
        """
        try:
            text = self.content.decode()
        except UnicodeDecodeError:
            raise InvalidRequestError(f"{self.name}: must be text in UTF-8", param=self.name) from None
        if "\0" in text:
            raise InvalidRequestError(f"{self.name}: must not hold a NUL character", param=self.name)
        return text


def boundary_of(content_type: str) -> bytes | None:
    """What separates the parts; None if the type is not that of a form, or names no boundary."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    return boundary if kind == FORM.encode() and 0 < len(boundary) <= _LONGEST_BOUNDARY else None


def without_boundary(content_type: str, body: bytes) -> bytes:
    """The body without its boundary, by which a repetition differs; bodies that are no forms as they are."""
    boundary = boundary_of(content_type)
    return body if boundary is None else body.replace(b"--" + boundary, b"--")


def parts_of(content_type: str, body: bytes, *, most: int) -> list[Part]:
    """The parts of a form in their order.

    Args:
        content_type: the header, which names the boundary.
        body: the whole body.
        most: how many parts it may have.

    Raises:
        InvalidRequestError: it is not such a form, breaks off, or has more parts.
    """
    boundary = boundary_of(content_type)
    if boundary is None:
        raise InvalidRequestError("The Content-Type names no boundary of 1 to 70 characters")
    parts: list[Part] = []
    for begin, end in _between(body, b"--" + boundary):
        if len(parts) == most:
            raise InvalidRequestError(f"The form has more than {most} parts")
        parts.append(_part(body, begin, end))
    return parts


def _between(body: bytes, delimiter: bytes) -> Iterator[tuple[int, int]]:
    """Where the parts begin, behind the delimiter, and end. Nothing is copied: a part may be all of the body."""
    inner = b"\r\n" + delimiter
    # What is in front of the first one is not part of the form.
    found = 0 if body.startswith(delimiter) else body.find(inner)
    begin = found + len(delimiter if found == 0 else inner)
    while found >= 0:
        if body.startswith(b"--", begin):
            return
        found = body.find(inner, begin)
        if found >= 0:
            yield begin, found
        begin = found + len(inner)
    raise InvalidRequestError("The form is not whole: it does not end with its boundary")


def _part(body: bytes, begin: int, end: int) -> Part:
    of_head = body.find(b"\r\n\r\n", begin, min(end, begin + _MOST_HEADER_BYTES))
    lines = body[begin:of_head].split(b"\r\n") if of_head >= 0 else [b"none"]
    if lines[0].strip():
        raise InvalidRequestError("A part of the form does not begin with its headers")
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-disposition":
            _, options = parse_options_header(value.strip())
            filename = options.get(b"filename")
            field = _decoded(options.get(b"name", b""))
            if field:
                content = body[of_head + 4 : end]
                return Part(field, None if filename is None else _decoded(filename), content)
    raise InvalidRequestError("A part of the form has no name")


def _decoded(text: bytes) -> str:
    return text.decode(errors="replace").replace("\0", "")
