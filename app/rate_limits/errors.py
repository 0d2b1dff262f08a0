from app.core.errors import RateLimitError


class RateLimitExceededError(RateLimitError):
    code = "rate_limit_exceeded"
    message = "Too many requests"


class ConcurrencyLimitExceededError(RateLimitExceededError):
    code = "concurrency_limit_exceeded"
    message = "Too many concurrent requests"
