import math
from collections.abc import Mapping
from typing import Any, ClassVar

# The largest request body that is read.
MAX_BODY_MEGABYTES = 10

# OpenAI's SDKs ignore a longer wait.
_LONGEST_RETRY_AFTER = 60


def closed_object(*required: str, **properties: Any) -> dict[str, Any]:
    """The JSON schema of an object that has these properties and no others; all of them are required by default."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(required or properties),
        "additionalProperties": False,
    }


class AppError(Exception):
    """A refusal with a status, a type and a code. `app.core.error_handlers` renders it.

    A code is part of the API; the name of a class is not. If `retryable` is false, the header `x-should-retry` tells
    OpenAI's SDKs not to repeat the request, which they would otherwise do after 408, 409, 429 and 5xx. An instance may
    differ from its class in this.
    """

    status: ClassVar[int] = 500
    type: ClassVar[str] = "server_error"
    code: ClassVar[str] = "internal_error"
    retryable: bool = False
    message: ClassVar[str] = "Internal server error"

    def __init__(self, message: str | None = None, *, param: str | None = None, retry_after: int | None = None) -> None:
        self.text = message or self.message
        self.param = param
        self.retry_after = retry_after
        super().__init__(self.text)

    def body(self) -> dict[str, Any]:
        """The JSON body of the response."""
        error = {"message": self.text, "type": self.type, "code": self.code}
        if self.param is not None:
            error["param"] = self.param
        return {"error": error}

    @classmethod
    def schema_name(cls) -> str:
        """The name of the body's schema in `/openapi.json`: errors with the same code share it."""
        return "".join(word.title() for word in cls.code.split("_")) + "Error"

    @classmethod
    def schema(cls) -> dict[str, Any]:
        """The JSON schema of `body()`."""
        properties = {
            "message": {"type": "string"},
            "type": {"const": cls.type},
            "code": {"const": cls.code},
            "param": {"type": "string", "description": "The place in the request that the error means"},
        }
        return closed_object(error=closed_object("message", "type", "code", **properties))

    def headers(self) -> Mapping[str, str]:
        """The headers that the refusal adds to the response."""
        headers = {} if self.retryable or self.status < 408 else {"x-should-retry": "false"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers


class InvalidRequestError(AppError):
    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    message = "Invalid request"


class NotFoundError(AppError):
    status = 404
    type = "not_found_error"
    code = "not_found"
    message = "Not found"


class MethodNotAllowedError(AppError):
    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"
    message = "Method not allowed"


class RequestTimeoutError(AppError):
    status = 408
    type = "invalid_request_error"
    code = "request_timeout"
    retryable = True
    message = "The request did not arrive in time"


class HeadersTooLargeError(AppError):
    status = 431
    type = "invalid_request_error"
    code = "headers_too_large"
    message = "The headers of the request are larger than 64 KiB together, or more than 100"


class PayloadTooLargeError(AppError):
    status = 413
    type = "invalid_request_error"
    code = "payload_too_large"
    message = f"The request body is larger than {MAX_BODY_MEGABYTES} MB"


class UnsupportedMediaTypeError(AppError):
    status = 415
    type = "invalid_request_error"
    code = "unsupported_media_type"
    message = "The request body is not of a type that is read here"


class ServiceUnavailableError(AppError):
    status = 503
    code = "service_unavailable"
    retryable = True
    message = "The service is temporarily unavailable"


class OutdatedConnectionError(ServiceUnavailableError):
    """What the connection was opened with no longer holds. Nothing was stored; a second try has another connection."""


class OutdatedStatementError(OutdatedConnectionError):
    """The schema has changed under a prepared statement. Nothing was stored, and a second try will succeed."""


class ServerBusyError(ServiceUnavailableError):
    code = "server_busy"
    message = "Too many large requests at once"


class ProviderError(AppError):
    """A vendor failed. The text never repeats what the vendor said, which may contain the operator's key."""

    status = 502
    type = "provider_error"
    code = "provider_error"
    message = "The model provider failed to answer"


class ProviderTimeoutError(AppError):
    status = 504
    type = "provider_error"
    code = "provider_timeout"
    message = "The model provider did not answer in time"


class ProviderUnavailableError(AppError):
    """A vendor takes no requests at the moment. This one has not run. `wait_seconds` is how long it asks to wait."""

    status = 503
    code = "provider_unavailable"
    message = "The model provider is overloaded at the moment"

    def __init__(self, wait_seconds: float | None = None) -> None:
        super().__init__(retry_after=None if wait_seconds is None else _as_retry_after(wait_seconds))
        self.wait_seconds = wait_seconds
        self.retryable = wait_seconds is None or wait_seconds <= _LONGEST_RETRY_AFTER


class RateLimitError(AppError):
    """Too many requests. `wait_seconds` is how long to wait before a repetition may succeed."""

    status = 429
    type = "rate_limit_error"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(retry_after=_as_retry_after(wait_seconds))
        # SDKs do not wait longer than that, so a repetition by them could not succeed.
        self.retryable = wait_seconds <= _LONGEST_RETRY_AFTER


class ProviderRateLimitedError(RateLimitError):
    code = "provider_rate_limited"
    message = "The model provider is rate limiting requests"


def _as_retry_after(wait_seconds: float) -> int:
    return math.ceil(min(max(wait_seconds, 1), _LONGEST_RETRY_AFTER))
