from typing import Any, Final

import orjson

# A comment line and nothing else. If it were followed by a blank line, or were an `event:`, `id:` or `retry:` line,
# some SDKs would take it for an event without data and fail.
KEEP_ALIVE: Final = b": keep-alive\n"
DONE: Final = b"data: [DONE]\n\n"
KEEP_ALIVE_SECONDS: Final = 5.0

HEADERS: Final = {
    "Cache-Control": "no-cache, no-transform",
    # nginx ignores `no-transform` and compresses a response without an encoding.
    "Content-Encoding": "identity",
    "X-Accel-Buffering": "no",
    "Content-Type": "text/event-stream; charset=utf-8",
}


def frame(data: Any) -> bytes:
    """One event whose data is JSON."""
    return b"data: " + orjson.dumps(data) + b"\n\n"
