import math

from app.core.errors import AppError, InvalidRequestError, NotFoundError


class WrongPasswordError(InvalidRequestError):
    message = "That is not the password."


class WeakPasswordError(InvalidRequestError):
    message = "Enter 12 characters or more."


class UnusableLinkError(NotFoundError):
    message = "This link was used already, has ended or was replaced by a newer one."


class InvitationOfAnotherError(InvalidRequestError):
    message = "This invitation is for another user."


class NoSignedInSessionError(NotFoundError):
    message = "There is no such sign-in."


class SignInBusyError(AppError):
    """More people sign in at once than passwords can be checked. `retry_after` is in seconds."""

    status = 503
    code = "sign_in_busy"
    retryable = True
    message = "Too many people sign in at this moment"


class SignInSlowedError(AppError):
    """Too many attempts of one address wait at once. `retry_after` is in seconds."""

    status = 429
    type = "rate_limit_error"
    code = "sign_in_slowed"
    retryable = True
    message = "Too many attempts at once"

    def __init__(self, wait_seconds: float) -> None:
        super().__init__(retry_after=math.ceil(wait_seconds))
