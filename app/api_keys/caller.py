from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Caller:
    """Who asks: the key that was shown, the organization it speaks for and the user who made it."""

    key_id: str
    organization_id: str
    user_id: str
    scopes: frozenset[str]
    is_subscribed: bool
    expires_at: datetime | None
