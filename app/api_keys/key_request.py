from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

MOST_PER_MINUTE = 1000
MOST_PER_HOUR = 100_000


@dataclass(frozen=True, kw_only=True)
class KeyRequest:
    """What a new key is to be like.

    Attributes:
        name: what the key is for.
        scopes: the names of its scopes; the default ones if there is none.
        expires_at: when it stops working; None for never.
        requests_per_minute: its own limit, or None.
        requests_per_hour: its own limit, or None.
    """

    name: str
    scopes: Iterable[str] = ()
    expires_at: datetime | None = None
    requests_per_minute: int | None = None
    requests_per_hour: int | None = None
