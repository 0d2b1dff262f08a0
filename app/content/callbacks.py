from app.content.attempts import Generation
from app.core.settings import Settings

PATH = "/webhooks/replicate"


def webhook_url(settings: Settings, generation: Generation) -> str | None:
    """Where the vendor is to report the end of an attempt; None where the operator has set no webhook secret."""
    if not settings.replicate_webhook_secrets:
        return None
    return f"{settings.public_url}{PATH}/{generation.id}/{generation.attempt}/{generation.webhook_nonce}"
