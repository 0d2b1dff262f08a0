"""How the input of a generation names a file, and what the vendor gets instead.

The name says which file it is and what is in it, but not how the vendor gets it: that may be another way for each
attempt, and URLs may change. A prediction that the vendor lists is still known by its input.
"""

import base64
import binascii
import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

EXTENSIONS: Final[Mapping[str, str]] = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}
_MEDIA_TYPES: Final = {extension: media_type for media_type, extension in EXTENSIONS.items()}
_REFERENCE: Final = re.compile(r"junis-input:([0-9a-f-]{36})/([0-9a-f]{64})\.([a-z]{3,4})")
_DATA_URL: Final = re.compile(r"data:[a-z/]{1,40};base64,")


@dataclass(frozen=True)
class Reference:
    """A file in an input: which one, the SHA-256 of its bytes in hexadecimal digits, and its media type."""

    id: uuid.UUID
    sha256: str
    media_type: str

    def __str__(self) -> str:
        return f"junis-input:{self.id}/{self.name}"

    @property
    def name(self) -> str:
        """The last part of its URL."""
        return f"{self.sha256}.{EXTENSIONS[self.media_type]}"

    @classmethod
    def of(cls, value: object) -> Self | None:
        """The file that a value of an input names; None if it names none."""
        match = _REFERENCE.fullmatch(value) if isinstance(value, str) else None
        media_type = _MEDIA_TYPES.get(match[3]) if match else None
        try:
            return cls(uuid.UUID(match[1]), match[2], media_type) if match and media_type else None
        except ValueError:
            return None


def references_in(values: Mapping[str, Any]) -> list[Reference]:
    """The files that an input names, each once."""
    found: dict[uuid.UUID, Reference] = {}
    for value in values.values():
        for each in value if isinstance(value, list) else [value]:
            if reference := Reference.of(each):
                found[reference.id] = reference
    return list(found.values())


def replaced(values: Mapping[str, Any], given: Callable[[Reference], object]) -> dict[str, Any]:
    """The input with something else for each file that it names."""

    def other(value: object) -> object:
        reference = Reference.of(value)
        return value if reference is None else given(reference)

    return {name: [*map(other, each)] if isinstance(each, list) else other(each) for name, each in values.items()}


def data_url(media_type: str, data: bytes) -> str:
    """The file itself in place of a URL."""
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


def is_sent_as(values: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Whether the vendor's input is that of a generation, whichever way the files went that it names."""
    if not references_in(values):
        return dict(sent) == dict(values)
    return sent.keys() == values.keys() and all(_is_same(each, sent[name]) for name, each in values.items())


def _is_same(value: object, sent: object) -> bool:
    if isinstance(value, list):
        return isinstance(sent, list) and len(sent) == len(value) and all(map(_is_same, value, sent))
    reference = Reference.of(value)
    if reference is None or not isinstance(sent, str):
        return value == sent
    if (match := _DATA_URL.match(sent)) is None:
        return sent.endswith(f"/{reference.id}/{reference.name}")
    try:
        data = base64.b64decode(sent[match.end() :], validate=True)
    except binascii.Error:
        return False
    return hashlib.sha256(data).hexdigest() == reference.sha256
