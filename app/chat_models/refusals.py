import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import Upstream
from app.core import clock
from app.core.errors import AppError, ProviderError, ProviderRateLimitedError, ProviderUnavailableError
from app.core.retry_after import asked_seconds

_REJECTED = frozenset({400, 413, 422})
_DENIED = frozenset({401, 402, 403})
# The server itself says that it does not take the request. A gateway's 502 and 504 do not say whether it did.
_OVERLOADED = frozenset({503, 529})
# OpenAI responds with 429 and this code if the account has run out of money. Waiting does not help.
_OUT_OF_CREDIT = "insufficient_quota"
# What an error within a response of success is, if it has no number.
_STATUS_BY_KIND = {
    "overloaded_error": 529,
    "overloaded": 529,
    "service_unavailable": 503,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
}

_DEFAULT_WAIT_SECONDS = 5.0
_MAX_MESSAGE = 500
_SHORTEST_KEY = 8
_MOST_DETAILS = 5
_MILLISECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_NAMES_OF_MESSAGES = ("message", "error_msg", "msg", "Message", "error")
# A bearer header, a vendor's prefix of keys, or any run of characters as long as a key.
_LIKE_A_KEY = re.compile(r"\bBearer\s+\S+|\b(?:sk|pk|rk|gsk|xai|hf|r8|nvapi)[-_][\w*.-]{6,}|\b\w{32,}", re.IGNORECASE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Stated:
    """What the upstream says about its refusal."""

    message: str = ""
    code: str | None = None
    param: str | None = None
    kind: str | None = None

    @property
    def status(self) -> int:
        """The HTTP status that the error would have had; 500 if it says nothing of it."""
        if self.code and re.fullmatch("[45][0-9]{2}", self.code):
            return int(self.code)
        return _STATUS_BY_KIND.get(self.code or "") or _STATUS_BY_KIND.get(self.kind or "") or 500


def refusal(
    upstream: Upstream, status: int, retry_after: str | None, body: bytes, *, has_begun: bool = False
) -> AppError:
    """The error for a response that is none of success, or that has an error in it.

    What the upstream said is logged, without its key.

    Args:
        upstream: who responded.
        status: its HTTP status. One of success is replaced by the status that the error states.
        retry_after: its `Retry-After` header.
        body: its body, JSON or not.
        has_begun: whether a part of an answer came before the error, which then means only that the answer failed.
    """
    stated = _stated(body)
    message = stated_reason(upstream, body)
    details = {"upstream": host_of(upstream), "status": status, "reason": message}
    if status < 300:
        status = 500 if has_begun else stated.status
    if status in _DENIED or stated.code == _OUT_OF_CREDIT:
        logger.error("upstream_denied", extra=details)
        return ProviderError()
    logger.warning("upstream_refused", extra=details)
    if status == 429:
        return ProviderRateLimitedError(wait_seconds(retry_after, clock.now()))
    if status in _OVERLOADED:
        return ProviderUnavailableError(wait_seconds(retry_after, clock.now()) if retry_after else None)
    if status in _REJECTED:
        return UpstreamRejectedError(message, param=stated.param, upstream_code=stated.code)
    return ProviderError()


def stated_reason(upstream: Upstream, body: bytes) -> str:
    """What the upstream says in the body of a refusal, without its key; empty if it says nothing that can be read."""
    return _without_keys(_stated(body).message, upstream.api_key)


def host_of(upstream: Upstream) -> str | None:
    """The name of the upstream in a log line. The whole URL may contain a password."""
    return urlsplit(upstream.base_url).hostname


def stated_wait(headers: Mapping[str, str]) -> str | None:
    """What a response says in `Retry-After`; if it has `retry-after-ms`, as Azure sends it, that in seconds."""
    milliseconds = headers.get("Retry-After-Ms", "")
    is_number = _MILLISECONDS.fullmatch(milliseconds)
    return str(float(milliseconds) / 1000) if is_number else headers.get("Retry-After")


def wait_seconds(retry_after: str | None, now: datetime) -> float:
    """How many seconds a `Retry-After` header asks to wait: 5 if it is unusable, negative if the time is in the past.

    Args:
        retry_after: seconds or an HTTP date.
        now: the current moment, aware.
    """
    seconds = asked_seconds(retry_after or "", now)
    return seconds if math.isfinite(seconds) else _DEFAULT_WAIT_SECONDS


def _stated(body: bytes) -> _Stated:
    """Reads OpenAI's `{"error": {...}}` and the forms of others: a text, a list with one entry, a bare object.

    FastAPI's servers send `detail` instead of a message; others send that, or an object, as their message.
    """
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Stated(_plain(body))
    value = _first(value)
    error = value
    if isinstance(value, Mapping):
        error = _first(value.get("error") or value.get("errors") or value)
    if not isinstance(error, Mapping):
        return _Stated(_text(error) or "")
    return _Stated(_message(error), _code(error.get("code")), _text(error.get("param")), _text(error.get("type")))


def _plain(body: bytes) -> str:
    """A body that is no JSON, if it may be a reason. A page of HTML is none."""
    text = body.decode("utf-8", "replace").strip()
    return "" if text.startswith("<") else text


def _message(error: Mapping[str, Any]) -> str:
    message = next((error[name] for name in _NAMES_OF_MESSAGES if error.get(name)), None)
    if isinstance(message, Mapping):
        return _message(message)
    return _text(message) or _details(error.get("detail")) or _text(error.get("title")) or ""


def _details(detail: Any) -> str:
    """The text of FastAPI's `detail`: itself, or of its first entries the location, the reason and the kind."""
    entries = detail if isinstance(detail, list) else [detail]
    return "; ".join(text for entry in entries[:_MOST_DETAILS] if (text := _detail(entry)))


def _detail(entry: Any) -> str:
    if not isinstance(entry, Mapping):
        return _text(entry) or ""
    if inner := entry.get("error"):
        return _message(inner) if isinstance(inner, Mapping) else _text(inner) or ""
    location = entry.get("loc")
    path = ".".join(map(str, location)) if isinstance(location, list) else ""
    reason = _text(entry.get("msg")) or _text(entry.get("message"))
    return ": ".join(part for part in (path, reason, _text(entry.get("type"))) if part)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _code(value: Any) -> str | None:
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if is_number else _text(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _without_keys(message: str, api_key: str) -> str:
    # A shorter key, such as `none` or `ollama` for a local server, is no secret and may be an ordinary word.
    if len(api_key) >= _SHORTEST_KEY:
        message = message.replace(api_key, "[redacted]")
    return _LIKE_A_KEY.sub("[redacted]", message)[:_MAX_MESSAGE]
