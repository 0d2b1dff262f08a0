"""The headers of requests and responses in `/openapi.json`."""

from typing import Any

SECURITY_SCHEMES = {
    "ApiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "A key, `jns_live_…`"},
    "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key, as OpenAI's SDKs send it"},
}

_INTEGER = {"type": "integer", "minimum": 0}
_WINDOWS = {
    "": "of the organization's requests per minute, over all its keys; with 401, of the address's failed attempts",
    "-Minute": "of the key's own requests per minute, if it has such a limit",
    "-Hour": "of the key's own requests per hour, if it has such a limit",
}


def _limit_headers() -> dict[str, Any]:
    headers = {}
    for suffix, window in _WINDOWS.items():
        is_always_there = not suffix
        for name, text in (
            ("Limit", f"The limit {window}"),
            ("Remaining", f"What is left {window}"),
            ("Reset", f"The epoch second in which the oldest request leaves the window {window}"),
        ):
            headers[f"X-RateLimit-{name}{suffix}"] = {
                "description": text,
                "required": is_always_there,
                "schema": _INTEGER,
            }
    return headers


_LIMITS = _limit_headers()
HEADERS: dict[str, Any] = {
    "X-Request-ID": {
        "description": "The request's id: the client's own, if it sent a valid one",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    **_LIMITS,
    "Retry-After": {
        "description": "Seconds after which a repetition may succeed",
        "schema": {"type": "integer", "minimum": 1, "maximum": 60},
    },
    "x-should-retry": {
        "description": "`false` if a repetition cannot succeed, or might be charged twice",
        "schema": {"const": "false"},
    },
    "WWW-Authenticate": {"description": "How to show a key, if none was shown", "schema": {"const": "ApiKey"}},
    "X-Session-ID": {
        "description": "The session that the turn belongs to",
        "required": True,
        "schema": {"type": "string"},
    },
    "X-Content-ID": {
        "description": "The content that the response is the file of",
        "required": True,
        "schema": {"type": "string", "format": "uuid"},
    },
    "Idempotent-Replayed": {
        "description": "`true` if the result is that of an earlier request with the same Idempotency-Key",
        "schema": {"const": "true"},
    },
}


def header(name: str) -> dict[str, Any]:
    """A response's entry for one of `HEADERS`."""
    return {name: {"$ref": f"#/components/headers/{name}"}}


def result_headers(*, is_guarded: bool) -> dict[str, Any]:
    """The headers of a response that is no error."""
    return _references("X-Request-ID", *(_LIMITS if is_guarded else ()))


def error_headers(status: int, *, is_guarded: bool) -> dict[str, Any]:
    """The headers of an error with this status.

    5xx may happen before the caller's limits are known, so they are not promised then.
    """
    names = ["X-Request-ID", *(_LIMITS if is_guarded and status < 500 else ())]
    names += ["Retry-After"] if status in {409, 429, 502, 503, 504} else []
    names += ["x-should-retry"] if status >= 408 else []
    names += ["WWW-Authenticate"] if status == 401 else []
    return _references(*names)


def _references(*names: str) -> dict[str, Any]:
    return {name: reference for each in names for name, reference in header(each).items()}
