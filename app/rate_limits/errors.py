from collections.abc import Mapping

from app.core.errors import AppError

# OpenAI's SDKs ignore a longer wait, each in a way of its own.
_LONGEST_RETRY_AFTER = 60


class RateLimitExceededError(AppError):
    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"
    message = "Too many requests"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(retry_after=max(1, min(_LONGEST_RETRY_AFTER, -int(-wait_seconds // 1))))
        self._is_long = wait_seconds > _LONGEST_RETRY_AFTER

    def headers(self) -> Mapping[str, str]:
        # Repeating within the SDK's patience cannot help when the wait is longer than that.
        headers = {name: value for name, value in super().headers().items() if name != "x-should-retry"}
        return headers | ({"x-should-retry": "false"} if self._is_long else {})


class ConcurrencyLimitExceededError(RateLimitExceededError):
    code = "concurrency_limit_exceeded"
    message = "Too many concurrent requests"
