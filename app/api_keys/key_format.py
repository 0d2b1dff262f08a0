"""The form of an API key: what a new one looks like, and what cannot be one."""

import re

from app.core.crypto import random_alphanumeric

_MARK = "jns_live_"
_RANDOM_LENGTH = 32
_SHOWN_LENGTH = 13
_WELL_FORMED = re.compile(rf"{_MARK}[A-Za-z0-9]{{{_RANDOM_LENGTH}}}")


def new_secret() -> str:
    """A new key: a fixed mark and about 190 random bits."""
    return _MARK + random_alphanumeric(_RANDOM_LENGTH)


def shown_prefix(secret: str) -> str:
    """The beginning of a key, which may be stored and shown so that people can tell keys apart."""
    return secret[:_SHOWN_LENGTH]


def is_of_ours(secret: str) -> bool:
    """Whether the text is meant as a key of this server, and not as one that a client has to send to any server."""
    return secret.startswith(_MARK)


def is_well_formed(secret: str) -> bool:
    """Whether the text can be a key at all."""
    return _WELL_FORMED.fullmatch(secret) is not None
