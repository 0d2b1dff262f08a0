"""Finds the files of a prediction in its output, which may be any JSON."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from app.core.json import storable_json
from app.generations.media_types import JSON, TEXT, MediaType
from worker.transfer.hosts import is_allowed

# Servers refuse longer ones, and every list of contents shows the address.
_LONGEST_ADDRESS = 8192


@dataclass(frozen=True)
class Remote:
    """A file at the vendor's delivery host."""

    url: str


@dataclass(frozen=True)
class Inline:
    """A file whose bytes are in the output itself. If its type is None, it is detected from the bytes."""

    data: bytes
    media_type: MediaType | None


Source = Remote | Inline


def is_empty(output: Any) -> bool:
    """Whether a prediction's output holds nothing."""
    return output is None or output in ("", [], {})


def sources_of(output: Any, other_hosts: frozenset[str] = frozenset()) -> list[Source]:
    """The files of an output, in the order in which they appear first; none if there is no output.

    If the output names files, at whatever depth, those are its files. A URL that is named several times is one file,
    and so are equal data URLs. Without files, text, or pieces of text, are one text file, and anything else is one JSON
    file.

    Args:
        output: any JSON.
        other_hosts: hosts from which files may be fetched, in addition to the vendor's. Addresses on any other host,
            such as that of a licence, are ignored, unless the output has no other files: then they are returned.

    Raises:
        UnstorableJsonError: it is neither files nor text, and cannot be stored as JSON.
    """
    if is_empty(output):
        return []
    files = [source for text in dict.fromkeys(_strings(output)) if (source := _file(text))]
    if files:
        return [file for file in files if isinstance(file, Inline) or is_allowed(file.url, other_hosts)] or files
    if isinstance(output, str):
        return [Inline(output.encode("utf-8", "replace"), TEXT)]
    if isinstance(output, list) and all(isinstance(piece, str) for piece in output):
        return [Inline("".join(output).encode("utf-8", "replace"), TEXT)]
    return [Inline(storable_json(output).encode(), JSON)]


def first_url(output: Any, other_hosts: frozenset[str] = frozenset()) -> str | None:
    """The URL of the first file that has one."""
    sources = sources_of(output, other_hosts)
    return next((source.url for source in sources if isinstance(source, Remote)), None)


def _strings(output: Any) -> Iterator[str]:
    """The texts in a JSON value, in order. Without recursion, because an output may have any number of levels."""
    remaining = [iter((output,))]
    while remaining:
        for value in remaining[-1]:
            if isinstance(value, str):
                yield value
            elif isinstance(value, list | dict):
                remaining.append(iter(value if isinstance(value, list) else value.values()))
                break
        else:
            remaining.pop()


def _file(text: str) -> Source | None:
    if _is_address(text):
        return Remote(text)
    if text.startswith("data:"):
        return _data_url(text)
    return None


def _is_address(text: str) -> bool:
    """Whether a text is the address of a file, and not just words that begin like one."""
    if not text.startswith(("https://", "http://")) or len(text) > _LONGEST_ADDRESS:
        return False
    if any(character.isspace() for character in text):
        return False
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and parts.port != 0 and len(parts.path) > 1
    except ValueError:
        return False


def _data_url(text: str) -> Inline | None:
    head, comma, payload = text.partition(",")
    if not comma:
        return None
    raw = unquote_to_bytes(payload)
    if not head.endswith(";base64"):
        return Inline(raw, None)
    try:
        return Inline(base64.b64decode(raw, validate=True), None)
    except binascii.Error:
        return None
