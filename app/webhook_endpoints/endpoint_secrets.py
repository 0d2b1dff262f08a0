"""The secrets that deliveries are signed with: made here, shown once, and kept sealed."""

import base64
import secrets
from typing import Final

from app.core.sealed_columns import SealedColumn
from app.core.secret_keys import SecretKeys
from app.webhook_endpoints.errors import SecretKeyMissingError

SECRET: Final = SealedColumn("webhook_endpoints", "secret")
FORMER_SECRET: Final = SealedColumn("webhook_endpoints", "former_secret")
_PREFIX: Final = "whsec_"
_SECRET_BYTES: Final = 32


def new_secret() -> str:
    """A secret as libraries of Standard Webhooks take it: `whsec_` and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def seal_secret(keys: SecretKeys, endpoint_id: str, secret: str) -> bytes:
    """The secret as it is stored.

    Raises:
        SecretKeyMissingError: `SECRET_KEY` is not set.
    """
    if not keys.is_lasting:
        raise SecretKeyMissingError
    return SECRET.seal(keys, endpoint_id, secret)


def as_former(keys: SecretKeys, endpoint_id: str, sealed: bytes) -> bytes | None:
    """The sealed secret as that of the other column; None if no key opens it."""
    secret = SECRET.unseal(keys, endpoint_id, sealed)
    return None if secret is None else FORMER_SECRET.seal(keys, endpoint_id, secret)
