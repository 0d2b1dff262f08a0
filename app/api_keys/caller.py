from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Caller:
    """Who sends a request: the API key, its organization, the user who created it, and the limits of both.

    Attributes:
        key_id: the key that was shown.
        organization_id: the organization that the key belongs to.
        user_id: the user who created the key.
        scopes: what the key may do.
        is_subscribed: whether the organization has an active subscription.
        usable_for: how long the key still works, by Postgres's clock: until it expires or its rotation's overlap ends;
            None for ever.
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
    usable_for: timedelta | None
    requests_per_minute: int
    concurrent_requests: int
    key_requests_per_minute: int | None
    key_requests_per_hour: int | None
