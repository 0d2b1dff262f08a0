from app.core.settings import Settings
from app.generations.attempts import Generation

PATH = "/webhooks/replicate"


def webhook_url(settings: Settings, generation: Generation) -> str | None:
    """Where the vendor is to report the end of an attempt; None where the operator has set no webhook secret."""
    if not settings.replicate_webhook_secrets:
        return None
    return settings.public_url + PATH + _tail(generation)


def is_webhook_of(url: str, generation: Generation) -> bool:
    """Whether a webhook reports the end of this attempt, to whichever address the server had when it was started."""
    return url.endswith(_tail(generation))


def _tail(generation: Generation) -> str:
    return f"/{generation.id}/{generation.attempt}/{generation.webhook_nonce}"
