"""The W3C trace context of a request: to which trace what it does belongs."""

import re
import secrets
from collections.abc import Sequence

# Version 00, the only one that is defined. An id of zeros only is no id.
_VALID = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(headers: Sequence[str]) -> str:
    """The trace context in a request's `traceparent` headers, or else a new one that is not sampled.

    As the standard asks, a value that is not valid is ignored, and so are several values.
    """
    if len(headers) == 1 and _VALID.fullmatch(headers[0]):
        return headers[0]
    ids = secrets.token_hex(24)
    return f"00-{ids[:32]}-{ids[32:]}-00"


def is_traceparent(value: str) -> bool:
    """Whether it is a trace context."""
    return _VALID.fullmatch(value) is not None
