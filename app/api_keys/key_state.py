from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Ending(Protocol):
    """What tells the state of a key: when it expires, and from when it is revoked, at the end of an overlap perhaps."""

    @property
    def expires_at(self) -> datetime | None: ...

    @property
    def revoked_at(self) -> datetime | None: ...


class KeyState(StrEnum):
    """Whether a key works, and if not, why."""

    ACTIVE = "active"
    ROTATED = "rotated"  # another key has replaced it, and it works until the overlap ends
    EXPIRED = "expired"
    REVOKED = "revoked"


def key_state(key: Ending, at: datetime) -> KeyState:
    """The state of a key at a moment (aware)."""
    if key.revoked_at is not None and key.revoked_at <= at:
        return KeyState.REVOKED
    if key.expires_at is not None and key.expires_at <= at:
        return KeyState.EXPIRED
    return KeyState.ACTIVE if key.revoked_at is None else KeyState.ROTATED
