"""Pictures that requests bring along: checked by their content, because names and declared types may be anything."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from app.core.errors import InvalidRequestError
from app.generations.media_types import sniff
from app.images.picture_sizes import size_of
from app.images.schemas import EditsRequest
from app.input_files.file_names import EXTENSIONS

_MOST_SIDE: Final = 16_384
# Whoever decodes a picture needs four bytes for each.
_MOST_PIXELS: Final = 100_000_000
_LONGEST_URL: Final = 4096
_DATA_URL: Final = re.compile(r"data:[^,]{0,100};base64,")
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True)
class Picture:
    """A picture as the model is to get it: its URL elsewhere, or its media type and bytes."""

    url: str | None
    media_type: str = ""
    data: bytes = b""


@dataclass(frozen=True)
class Pictures:
    """The pictures that are to be changed, and what says where."""

    images: Sequence[Picture]
    mask: Picture | None

    @classmethod
    def of(cls, body: EditsRequest) -> "Pictures":
        """The pictures of a request.

        Raises:
            InvalidRequestError: one of them is none, damaged, or too large.
        """
        images = [
            _picture(each.image_url, "image" if isinstance(each.image_url, bytes) else f"images.{index}.image_url")
            for index, each in enumerate(body.images)
        ]
        mask = None if body.mask is None else _picture(body.mask.image_url, "mask")
        return cls(images, mask)

    @property
    def sent(self) -> Sequence[tuple[str, bytes]]:
        """The media types and bytes of those that are no URLs, the mask last."""
        return [(each.media_type, each.data) for each in (*self.images, self.mask) if each is not None and not each.url]

    def named(self, names: Sequence[str]) -> tuple[Sequence[str], str | None]:
        """The images and the mask as an input has them, given the names of those of `sent`."""
        following = iter(names)
        images = [each.url or next(following) for each in self.images]
        return images, None if self.mask is None else self.mask.url or next(following)


def _picture(given: str | bytes, param: str) -> Picture:
    if isinstance(given, bytes):
        return _checked(given, param)
    if (match := _DATA_URL.match(given)) is None:
        return Picture(_checked_url(given, param))
    try:
        return _checked(base64.b64decode(given[match.end() :], validate=True), param)
    except (binascii.Error, ValueError):
        raise InvalidRequestError(f"{param}: is not valid base64", param=param) from None


def _checked_url(url: str, param: str) -> str:
    try:
        parts = urlsplit(url)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        is_url = False
    if not is_url or len(url) > _LONGEST_URL or not _PLAIN.fullmatch(url):
        raise InvalidRequestError(f"{param}: must be a data URL in base64, or an HTTP URL", param=param)
    return url


def _checked(data: bytes, param: str) -> Picture:
    media_type = sniff(data).media_type
    if media_type not in EXTENSIONS:
        raise InvalidRequestError(f"{param}: must be a PNG, JPEG or WebP", param=param)
    size = size_of(media_type, data)
    if size is None:
        raise InvalidRequestError(f"{param}: the file is damaged", param=param)
    if max(size) > _MOST_SIDE or size[0] * size[1] > _MOST_PIXELS:
        limits = f"{_MOST_SIDE} pixels wide and high, and {_MOST_PIXELS:,} pixels in all"
        raise InvalidRequestError(f"{param}: may be at most {limits}", param=param)
    return Picture(None, media_type, data)
