import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from app.core.errors import AppError

# By the Standard Webhooks specification: a captured request can be replayed no longer than this.
TOLERANCE_SECONDS = 5 * 60


class WebhookSignatureError(AppError):
    """The request was not signed recently with one of our secrets."""

    status = 401
    type = "authentication_error"
    code = "invalid_signature"
    message = "Invalid webhook signature"


def verify(secrets: Sequence[str], headers: Mapping[str, str], body: bytes, now: datetime) -> None:
    """Check the signature of a webhook by version 1 of the Standard Webhooks scheme.

    Args:
        secrets: `whsec_` and base64; two while the secret is being changed. A malformed one never matches.
        headers: `webhook-id`, `webhook-timestamp` and `webhook-signature`, under lower-case names or in a mapping
            that ignores case.
        body: the bytes as they were received. JSON that is encoded again does not match the signature.
        now: the current moment, aware.

    Raises:
        WebhookSignatureError: no signature matches, or it is more than five minutes in the past or future.
    """
    webhook_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (webhook_id and webhook_id.isascii() and _is_current(timestamp, now)):
        raise WebhookSignatureError
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    expected = [hmac.digest(key, signed, hashlib.sha256) for key in _keys(secrets)]
    # Every pair is compared, so that the time this takes does not tell which one matches.
    matches = [
        hmac.compare_digest(signature, digest)
        for signature in _signatures(headers.get("webhook-signature", ""))
        for digest in expected
    ]
    if not any(matches):
        raise WebhookSignatureError


def _is_current(timestamp: str, now: datetime) -> bool:
    # Ten digits last until the year 2286. int() would also accept spaces, underscores and digits of other scripts.
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 10):
        return False
    return abs(now.timestamp() - int(timestamp)) <= TOLERANCE_SECONDS


def _keys(secrets: Sequence[str]) -> Iterator[bytes]:
    for secret in secrets:
        key = _decoded(secret.removeprefix("whsec_"))
        # Anybody could sign with an empty key, so it never counts.
        if key:
            yield key


def _signatures(header: str) -> Iterator[bytes]:
    for entry in header.split(" "):
        version, _, signature = entry.partition(",")
        if version == "v1":
            yield _decoded(signature)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
