from app.generations.attempts import Generation

PATH = "/webhooks/replicate"


def webhook_url(public_url: str, generation: Generation) -> str:
    """Where the vendor is to report the end of an attempt."""
    return public_url + PATH + _tail(generation)


def is_webhook_of(url: str, generation: Generation) -> bool:
    """Whether a webhook reports the end of this attempt, whichever address the server had when it was started."""
    return url.endswith(_tail(generation))


def _tail(generation: Generation) -> str:
    return f"/{generation.id}/{generation.attempt}/{generation.webhook_nonce}"
