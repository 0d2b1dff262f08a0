import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import orjson

from app.chat_models.errors import UpstreamRejectedError
from app.chat_models.protocol import Upstream
from app.core import clock
from app.core.errors import AppError, ProviderError, ProviderRateLimitedError

_REJECTED = frozenset({400, 413, 422})
_DENIED = frozenset({401, 402, 403})
# OpenAI responds with 429 and this code if the account has run out of money. Waiting does not help.
_OUT_OF_CREDIT = "insufficient_quota"

_DEFAULT_WAIT_SECONDS = 5.0
_MAX_MESSAGE = 500
_SHORTEST_KEY = 8
# A bearer header, a vendor's prefix of keys, or any run of characters as long as a key.
_LIKE_A_KEY = re.compile(r"\bBearer\s+\S+|\b(?:sk|pk|rk|gsk|xai|hf|r8|nvapi)[-_][\w*.-]{6,}|\b\w{32,}", re.IGNORECASE)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Stated:
    """What the upstream says about its refusal."""

    message: str = ""
    code: str | None = None
    param: str | None = None


def refusal(upstream: Upstream, status: int, retry_after: str | None, body: bytes) -> AppError:
    """The error for a response with a status other than 200. What the upstream said is logged, without its key.

    Args:
        upstream: who responded.
        status: its HTTP status.
        retry_after: its `Retry-After` header.
        body: its body, JSON or not.
    """
    stated = _stated(body)
    message = stated_reason(upstream, body)
    details = {"upstream": host_of(upstream), "status": status, "reason": message}
    if status in _DENIED or stated.code == _OUT_OF_CREDIT:
        logger.error("upstream_denied", extra=details)
        return ProviderError()
    logger.warning("upstream_refused", extra=details)
    if status == 429:
        return ProviderRateLimitedError(wait_seconds(retry_after, clock.now()))
    if status in _REJECTED:
        return UpstreamRejectedError(message, param=stated.param, upstream_code=stated.code)
    return ProviderError()


def stated_reason(upstream: Upstream, body: bytes) -> str:
    """What the upstream says in the body of a refusal, without its key; empty if it says nothing that can be read."""
    return _without_keys(_stated(body).message, upstream.api_key)


def host_of(upstream: Upstream) -> str | None:
    """The name of the upstream in a log line. The whole URL may contain a password."""
    return urlsplit(upstream.base_url).hostname


def wait_seconds(retry_after: str | None, now: datetime) -> float:
    """How many seconds a `Retry-After` header asks to wait: 5 if it is unusable, negative if the time is in the past.

    Args:
        retry_after: seconds or an HTTP date.
        now: the current moment, aware.
    """
    seconds = _seconds(retry_after or "", now)
    return seconds if math.isfinite(seconds) else _DEFAULT_WAIT_SECONDS


def _seconds(retry_after: str, now: datetime) -> float:
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        # A date without a time zone is in UTC, and is parsed as a naive one.
        moment = parsedate_to_datetime(retry_after)
        return (moment.replace(tzinfo=moment.tzinfo or now.tzinfo) - now).total_seconds()
    except (ValueError, OverflowError):
        return math.nan


def _stated(body: bytes) -> _Stated:
    """Reads OpenAI's `{"error": {...}}` and the forms of others: a text, a list with one entry, a bare object.

    FastAPI's servers send `detail` instead of a message; others send that as their message.
    """
    try:
        value: Any = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _Stated()
    if isinstance(value, list) and value:
        value = value[0]
    error = value.get("error", value) if isinstance(value, dict) else None
    if not isinstance(error, Mapping):
        return _Stated(_text(error) or "")
    message, code, param = error.get("message"), error.get("code"), error.get("param")
    inner = message if isinstance(message, Mapping) else error
    return _Stated(_text(message) or _detail(inner.get("detail")), _text(code), _text(param))


def _detail(detail: Any) -> str:
    """The text of FastAPI's `detail`: itself, or of its first entry the location, the reason and the kind."""
    first = detail[0] if isinstance(detail, list) and detail else detail
    if not isinstance(first, Mapping):
        return _text(first) or ""
    location = first.get("loc")
    path = ".".join(map(str, location)) if isinstance(location, list) else ""
    return ": ".join(part for part in (path, _text(first.get("msg")), _text(first.get("type"))) if part)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _without_keys(message: str, api_key: str) -> str:
    # A shorter key, such as `none` or `ollama` for a local server, is no secret and may be an ordinary word.
    if len(api_key) >= _SHORTEST_KEY:
        message = message.replace(api_key, "[redacted]")
    return _LIKE_A_KEY.sub("[redacted]", message)[:_MAX_MESSAGE]
