from app.generations.attempts import ClaimedAttempt

PATH = "/webhooks/replicate"


def webhook_url(public_url: str, attempt: ClaimedAttempt) -> str:
    """Where the vendor is to report the end of an attempt."""
    return public_url + PATH + _tail(attempt)


def is_webhook_of(url: str, attempt: ClaimedAttempt) -> bool:
    """Whether a webhook reports the end of this attempt, whichever address the server had when it was started."""
    return url.endswith(_tail(attempt))


def _tail(attempt: ClaimedAttempt) -> str:
    return f"/{attempt.generation_id}/{attempt.number}/{attempt.webhook_nonce}"
