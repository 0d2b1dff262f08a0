from app.core.errors import AppError


class InsufficientCreditsError(AppError):
    status = 402
    type = "billing_error"
    code = "insufficient_credits"
    message = "Not enough credits for request"
