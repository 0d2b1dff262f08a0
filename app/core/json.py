import re
from typing import Any

import orjson

# Postgres stores no NUL in text or jsonb. In JSON it stands as \u0000 behind an even number of backslashes.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def storable_json(value: Any) -> str:
    """`value` as JSON text that Postgres can store: NUL characters are replaced by U+FFFD."""
    return _NUL.sub(r"\1\\ufffd", orjson.dumps(value).decode())


def storable_text(value: str) -> str:
    """`value` without what Postgres cannot store: NUL characters and lone surrogates become U+FFFD."""
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
