from app.core.errors import AppError, NotFoundError


class SessionNotFoundError(NotFoundError):
    code = "session_not_found"

    def __init__(self, name: str) -> None:
        super().__init__(f"Session not found: {name}")


class SessionBusyError(AppError):
    """Another turn is running on the session. It may have ended when the client tries again."""

    status = 409
    type = "invalid_request_error"
    code = "session_busy"
    retryable = True
    message = "Another turn is running on this session"

    def __init__(self) -> None:
        super().__init__(retry_after=1)
