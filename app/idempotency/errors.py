from app.core.errors import AppError


class IdempotencyKeyInProgressError(AppError):
    status = 409
    type = "invalid_request_error"
    code = "idempotency_key_in_progress"
    retryable = True
    message = "A request with this Idempotency-Key is still running"

    def __init__(self) -> None:
        super().__init__(retry_after=1)


class IdempotencyKeyReusedError(AppError):
    status = 409
    type = "invalid_request_error"
    code = "idempotency_key_reused"
    message = "This Idempotency-Key was used with another request"
