from dataclasses import dataclass
from typing import Final

from app.core.database import Transaction

_SELECT_TERMS: Final = """
SELECT o.subscription_status = 'active' AS is_subscribed, p.requests_per_minute, p.concurrent_requests
FROM organizations o JOIN plans p ON p.name = o.plan_name WHERE o.id = $1
"""


@dataclass(frozen=True)
class Terms:
    """Whether an organization has a subscription, and what its plan allows."""

    is_subscribed: bool
    requests_per_minute: int
    concurrent_requests: int


async def find_terms(tx: Transaction, organization_id: str) -> Terms:
    """The terms of an organization that exists."""
    row = await tx.fetchrow(_SELECT_TERMS, organization_id)
    assert row is not None  # noqa: S101 - the reader is in it
    return Terms(**dict(row))
