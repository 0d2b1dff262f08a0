"""The headers of a try, by the specification of Standard Webhooks (https://www.standardwebhooks.com)."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from standardwebhooks import Webhook


def signed_headers(event_id: str, at: datetime, body: str, secrets: Sequence[str]) -> Mapping[str, str]:
    """The headers that say which event this is, and prove who has sent it.

    Args:
        event_id: the same for every try.
        at: when this try is made, aware.
        body: exactly what is sent.
        secrets: each signs, so that a receiver may know either while they are being changed.
    """
    signatures = [Webhook(secret).sign(event_id, at, body) for secret in secrets]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
