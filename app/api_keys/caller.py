from dataclasses import dataclass
from datetime import datetime
from typing import Self

from asyncpg import Record


@dataclass(frozen=True)
class Caller:
    """Who sends a request: the API key, its organization, the user who created it, and the limits of both.

    Attributes:
        key_id: the key that was shown.
        organization_id: the organization that the key belongs to.
        user_id: the user who created the key.
        scopes: what the key may do.
        is_subscribed: whether the organization has an active subscription.
        unusable_at: when the key expires or its rotation's overlap ends, whichever comes first; None for never.
        requests_per_minute: the limit of the organization's plan.
        concurrent_requests: how many of the organization's requests may run at once.
        key_requests_per_minute: the key's own limit, or None.
        key_requests_per_hour: the key's own limit, or None.
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

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The caller of a row that has a column for each attribute."""
        return cls(
            key_id=row["key_id"],
            organization_id=row["organization_id"],
            user_id=row["user_id"],
            scopes=frozenset(row["scopes"]),
            is_subscribed=row["is_subscribed"],
            unusable_at=row["unusable_at"],
            requests_per_minute=row["requests_per_minute"],
            concurrent_requests=row["concurrent_requests"],
            key_requests_per_minute=row["key_requests_per_minute"],
            key_requests_per_hour=row["key_requests_per_hour"],
        )
