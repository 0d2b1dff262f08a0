"""Signatures as in the Standard Webhooks specification, https://www.standardwebhooks.com."""

import base64
import hashlib
import hmac

_PREFIX = "whsec_"


def signature(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """Sign one webhook.

    Args:
        secret: ``whsec_`` and the key in base64.
        webhook_id: Its ``webhook-id`` header.
        timestamp: Its ``webhook-timestamp`` header, seconds since the epoch.
        body: The bytes that are sent.

    Returns:
        One entry of the ``webhook-signature`` header.
    """
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, content, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"
