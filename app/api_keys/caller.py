from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Caller:
    """Who asks: the key that was shown, the organization it speaks for, the user who made it, and their limits.

    `unusable_at` is when the key expires or its rotation's overlap ends, whichever comes first.
    """

    key_id: str
    organization_id: str
    user_id: str
    scopes: frozenset[str]
    is_subscribed: bool
    unusable_at: datetime | None
    requests_per_minute: int
    concurrent_requests: int
    key_requests_per_minute: int | None
    key_requests_per_hour: int | None
