import json
import re
from typing import Any

import orjson

# Postgres stores no NUL in text or jsonb. In JSON it stands as \u0000 behind an even number of backslashes.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def storable_json(value: Any) -> str:
    """`value` as JSON text that Postgres can store: NUL characters and lone surrogates are replaced by U+FFFD."""
    try:
        text = orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        # It refuses lone surrogates, and integers of more than 64 bits: a vendor's JSON may hold both. The other one
        # writes Infinity for a number that is too large for a float, which is no JSON; orjson makes that null.
        finite = json.loads(json.dumps(value), parse_constant=lambda _name: None)
        text = _UNSTORABLE.sub("\ufffd", json.dumps(finite, ensure_ascii=False))
    return _NUL.sub(r"\1\\ufffd", text)


def holds_nul(text: str) -> bool:
    """Whether JSON text holds a NUL character, and not merely the six characters that stand for one."""
    return _NUL.search(text) is not None


def storable_text(value: str) -> str:
    """`value` without what Postgres cannot store: NUL characters and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", value)
