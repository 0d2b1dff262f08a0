from datetime import datetime
from enum import StrEnum

from app.api_keys.models import ApiKey


class KeyState(StrEnum):
    """Whether a key works, and if not, why."""

    ACTIVE = "active"
    ROTATED = "rotated"  # another key has replaced it, and it works until the overlap ends
    EXPIRED = "expired"
    REVOKED = "revoked"


def key_state(key: ApiKey, at: datetime) -> KeyState:
    """The state of a key at a moment (aware)."""
    if key.revoked_at is not None and key.revoked_at <= at:
        return KeyState.REVOKED
    if key.expires_at is not None and key.expires_at <= at:
        return KeyState.EXPIRED
    return KeyState.ACTIVE if key.revoked_at is None else KeyState.ROTATED
