from app.core.errors import AppError


class InsufficientCreditsError(AppError):
    status = 402
    type = "billing_error"
    code = "insufficient_credits"
    message = "Not enough credits for request"


class KeyCapReachedError(InsufficientCreditsError):
    """The key may not spend so much more in this month. The text says what is left, and until when."""

    code = "key_cap_reached"
    message = "The API key would spend more than it may in this month"


class MaxCreditsReachedError(InsufficientCreditsError):
    """What the request asks for costs more than it allows. What was done of it before is charged."""

    code = "max_credits_reached"
    message = "The request would cost more than its max_credits"
