"""Checks of settings that are secrets. Their errors show nothing of the secret."""

import re
from typing import TypeVar

from pydantic import SecretStr

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]")
_Secret = TypeVar("_Secret", str, SecretStr)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def header_secret(value: _Secret) -> _Secret:
    """Allow only what can be sent in a header: a line break there would fail every request."""
    if _UNPRINTABLE.search(_text(value)):
        raise ValueError("has a line break or another character inside that no key has")
    return value


def listed_secret(value: SecretStr) -> SecretStr:
    """Allow only secrets like `header_secret` does, with commas between them."""
    for part in value.get_secret_value().split(","):
        header_secret(part.strip())
    return value


def one_line_secret(value: _Secret) -> _Secret:
    """Allow only a secret that is one line of text."""
    if _CONTROL.search(_text(value)):
        raise ValueError("has a line break or another control character inside")
    return value


def _text(value: str | SecretStr) -> str:
    return value if isinstance(value, str) else value.get_secret_value()
