from app.core.errors import AppError


class InsufficientCreditsError(AppError):
    status = 402
    type = "billing_error"
    code = "insufficient_credits"
    message = "Not enough credits for request"


class MaxCreditsReachedError(InsufficientCreditsError):
    """What the request asks for costs more than it allows. What was done of it before is charged."""

    code = "max_credits_reached"
    message = "The request would cost more than its max_credits"
