"""Requests for changed images as forms, which is how most clients send them."""

import re
from typing import Any, Final

from app.core.errors import InvalidRequestError
from app.core.multipart_body import Part, parts_of

# More than any field and image of the API together.
_MOST_PARTS: Final = 64
# `image`, `image[]`, and what some clients make of a list.
_IMAGE: Final = re.compile(r"image(\[\d{0,3}\])?")
_NUMBERS: Final = frozenset({"n", "partial_images"})
_NUMBER: Final = re.compile(r"-?\d{1,9}")
_FLAGS: Final = {"true": True, "false": False}


def fields_of(content_type: str, body: bytes) -> dict[str, Any]:
    """The request that a form makes: its fields as JSON would have them, except that files are bytes.

    Raises:
        InvalidRequestError: it is no form, a field is there twice, or a file is a text or a text a file.
    """
    fields: dict[str, Any] = {}
    images: list[dict[str, bytes]] = []
    for part in parts_of(content_type, body, most=_MOST_PARTS):
        if _IMAGE.fullmatch(part.name):
            images.append({"image_url": _file(part, "image")})
            continue
        if part.name in fields:
            raise InvalidRequestError(f"{part.name}: is there twice", param=part.name)
        if part.name == "mask":
            fields["mask"] = {"image_url": _file(part, "mask")}
        elif value := _text(part):
            fields[part.name] = _value(part.name, value)
    if not images:
        raise InvalidRequestError("image: Field required", param="image")
    return {**fields, "images": images}


def _file(part: Part, param: str) -> bytes:
    if part.filename is None:
        raise InvalidRequestError(f"{param}: must be a file, with a filename", param=param)
    if not part.content:
        raise InvalidRequestError(f"{param}: is empty", param=param)
    return part.content


def _text(part: Part) -> str:
    """The text of a field; an empty one is as if it were left out."""
    if part.filename is not None:
        raise InvalidRequestError(f"{part.name}: must be a text, not a file", param=part.name)
    return part.text()


def _value(name: str, text: str) -> object:
    if name in _NUMBERS and _NUMBER.fullmatch(text):
        return int(text)
    return _FLAGS.get(text.lower(), text) if name == "stream" else text
