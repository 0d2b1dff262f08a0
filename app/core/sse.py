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


# Characters at which some clients end a line, although server-sent events do not: NEL and the two separators.
_LINE_ENDS: Final = (
    (b"\xc2\x85", b"\\u0085"),
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
)


def frame(data: Any) -> bytes:
    """One event whose data is JSON on one line, whatever its reader takes for the end of a line."""
    return b"data: " + one_line(data) + b"\n\n"


def one_line(data: Any) -> bytes:
    """JSON on one line, whatever its reader takes for the end of a line."""
    text = orjson.dumps(data)
    if not text.isascii():
        for character, escaped in _LINE_ENDS:
            text = text.replace(character, escaped)
    return text
