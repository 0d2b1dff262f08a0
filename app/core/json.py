import json
import re
from typing import Any

import orjson

# Postgres cannot store NUL in text or jsonb. In JSON it is written \u0000, after an even number of backslashes.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable_json(value: Any) -> str:
    """`value` as JSON text that Postgres can store: U+FFFD replaces NUL characters and lone surrogates."""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        # orjson refuses lone surrogates and integers of more than 64 bits, and a vendor's JSON may contain both. `json`
        # writes Infinity for a number that is too large for a float, which is not JSON; it becomes null, as in orjson.
        finite = json.loads(json.dumps(value), parse_constant=lambda _name: None)
        text = _UNSTORABLE.sub("\ufffd", json.dumps(finite, ensure_ascii=False))
    return _NUL.sub(r"\1\\ufffd", text)


def holds_nul(text: str) -> bool:
    """Whether JSON text contains a NUL character. An escaped backslash followed by `u0000` is none."""
    return _NUL.search(text) is not None


def storable_text(value: str) -> str:
    """`value` as text that Postgres can store: NUL characters and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", value)
