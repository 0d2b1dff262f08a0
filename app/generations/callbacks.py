import re
import uuid
from dataclasses import dataclass

from app.generations.attempts import ClaimedAttempt

PATH = "/webhooks/replicate"

_TAIL = re.compile(re.escape(PATH) + r"/([0-9a-f-]{36})/([0-9]{1,9})/([A-Za-z0-9_-]+)")


@dataclass(frozen=True)
class NamedAttempt:
    """The attempt that a webhook's URL names. Only the nonce proves that the URL is one of ours."""

    generation_id: uuid.UUID
    attempt: int
    nonce: str


def webhook_url(public_url: str, attempt: ClaimedAttempt) -> str:
    """The URL at which the vendor reports the end of an attempt."""
    return f"{public_url}{PATH}/{attempt.generation_id}/{attempt.number}/{attempt.webhook_nonce}"


def named_attempt(url: str) -> NamedAttempt | None:
    """The attempt whose end a webhook reports, or None. The server's address may have been another at its start."""
    found = _TAIL.search(url)
    if found is None or found.end() != len(url):
        return None
    generation_id, attempt, nonce = found.groups()
    try:
        return NamedAttempt(uuid.UUID(generation_id), int(attempt), nonce)
    except ValueError:
        return None


def name_of(attempt: ClaimedAttempt) -> NamedAttempt:
    """How the attempt's webhook names it."""
    return NamedAttempt(attempt.generation_id, attempt.number, attempt.webhook_nonce)
