from app.core.errors import AppError


class UpstreamRejectedError(AppError):
    """The upstream refuses the request: a parameter, its size or its content. Nothing was run.

    `upstream_code` is the code that the upstream gave for it, such as `unsupported_parameter`.
    """

    status = 400
    type = "invalid_request_error"
    code = "invalid_request"
    message = "The model provider refused the request"

    def __init__(
        self, message: str | None = None, *, param: str | None = None, upstream_code: str | None = None
    ) -> None:
        super().__init__(message, param=param)
        self.upstream_code = upstream_code


class UpstreamStatusError(Exception):
    """What an upstream responded, as the cause of the error that a client gets: for the operator, and without keys.

    `status` is the HTTP status, and `reason` what the upstream says; it may be empty.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"status {status}: {reason}" if reason else f"status {status}")
        self.status = status
        self.reason = reason


# With these some servers refuse a request for what is in it, and others say that they have failed: Ollama's and
# llama.cpp's 500, OpenRouter's 404, Amazon's 424.
_AMBIGUOUS = frozenset({404, 405, 424, 500, 501})


def rejection_in(error: AppError) -> UpstreamRejectedError | None:
    """The error as a refusal of the request, if it may be one; its words have to say it."""
    if isinstance(error, UpstreamRejectedError):
        return error
    cause = error.__cause__
    if not isinstance(cause, UpstreamStatusError) or cause.status not in _AMBIGUOUS:
        return None
    rejected = UpstreamRejectedError(cause.reason or None)
    rejected.__cause__ = cause
    return rejected
