"""The body of a request as JSON: read within limits, so that no client makes the others wait."""

import asyncio
import json
from collections.abc import Iterator

from pydantic_core import from_json

from app.core.errors import InvalidRequestError
from app.core.json import UnstorableJsonError, exact_json
from app.core.json_limits import CostlyJsonError, cost_checks, has_long_integer, has_nul

_BOM = b"\xef\xbb\xbf"
_LONGEST_NAME = 64
# The fields that hold a conversation.
_CONVERSATIONS = ("messages", "input")
# What takes less than a millisecond to parse, and to look through again.
_SHORT_BYTES = 64 * 1024


async def parse_body(body: bytes) -> tuple[object, int]:
    """Parse the body of a request. Other tasks run between the steps, the longest of which is the parser's.

    Returns:
        The value, all of which can be sent to others as JSON, stored, and read again as it is, except for floats that
        are too large (1e400), which are written as null; and how many values it holds at most.

    Raises:
        InvalidRequestError: it is not JSON, has more than 201 levels of lists and objects, exceeds a limit of
            `app.core.json_limits`, or holds a NUL character, half a surrogate pair or an integer of more than 64 bits.
    """
    text = _as_utf8(body)
    values = await _count(text)
    try:
        value = from_json(text, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise InvalidRequestError(f"The request body is not valid JSON: {error}") from None
    if len(text) > _SHORT_BYTES:
        await asyncio.sleep(0)
    if has_nul(text) or has_long_integer(text):
        await _check_members(value)
    return value, values


async def _check_members(value: object) -> None:
    """Refuse what holds a NUL character or an integer of more than 64 bits, and name the field that does."""
    for location, member in _members(value):
        try:
            exact_json(member)
        except UnstorableJsonError as error:
            message = f"{location}: {error}" if location else f"The request body {error}"
            raise InvalidRequestError(message, param=location) from None
        await asyncio.sleep(0)


def _members(value: object) -> Iterator[tuple[str | None, object]]:
    """The parts of the body with their locations: its fields, and each message or item of the input."""
    if not isinstance(value, dict):
        yield None, value
        return
    for name, member in value.items():
        if name in _CONVERSATIONS and isinstance(member, list):
            yield from ((f"{name}.{index}", message) for index, message in enumerate(member))
        else:
            # A name that is no name may itself be what is wrong.
            yield (name, member) if name.isidentifier() and len(name) <= _LONGEST_NAME else (None, {name: member})


async def _count(text: bytes) -> int:
    checks = cost_checks(text)
    while True:
        try:
            next(checks)
        except StopIteration as counted:
            return int(counted.value)
        except CostlyJsonError as error:
            raise InvalidRequestError(f"The request body {error}") from None
        await asyncio.sleep(0)


def _as_utf8(body: bytes) -> bytes:
    """JSON is UTF-8; a few clients begin it with a byte order mark, or send UTF-16."""
    encoding = json.detect_encoding(body)
    try:
        return body.removeprefix(_BOM) if encoding.startswith("utf-8") else body.decode(encoding).encode()
    except UnicodeError:
        raise InvalidRequestError("The request body is not valid JSON: it is not text") from None
