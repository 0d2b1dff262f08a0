"""All organizations of the server, for operators. What needs a look comes first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.core.database import Transaction

# From so many failed attempts in a day on, an organization needs a look.
MANY_FAILURES = 10
# Without an alert of its own, an organization is low on credits below this share of its monthly ones.
_LOW_SHARE = "0.1"
_LIKE = str.maketrans({"\\": "\\\\", "%": "\\%", "_": "\\_"})

_RANKED = f"""
WITH failing AS (
    SELECT organization_id, count(*) AS failures FROM attempts
    WHERE ending = 'failed' AND ended_at > now() - interval '24 hours' GROUP BY 1
), known AS (
    SELECT o.id, o.name, o.plan_name, o.created_at, o.subscription_status = 'active' AS is_subscribed,
           coalesce(a.balance - a.held, 0) AS available, coalesce(f.failures, 0) AS failures,
           p.monthly_credits * {_LOW_SHARE} AS low
    FROM organizations o JOIN plans p ON p.name = o.plan_name
    LEFT JOIN credit_accounts a ON a.organization_id = o.id LEFT JOIN failing f ON f.organization_id = o.id
), ranked AS (
    SELECT k.*, CASE
        WHEN NOT is_subscribed THEN 3
        WHEN available <= 0 THEN 0
        WHEN EXISTS (SELECT FROM credit_alerts c WHERE c.organization_id = k.id AND c.threshold > available)
             OR available < low THEN 1
        WHEN failures >= {MANY_FAILURES} THEN 2
        ELSE 4 END AS rank
    FROM known k
)
"""
_PAGE = f"""
{_RANKED}
SELECT r.*, lower(r.name) AS sorted_name,
       (SELECT count(*) FROM memberships m WHERE m.organization_id = r.id) AS members,
       k.keys, k.last_call_at,
       (SELECT coalesce(sum(amount), 0) FROM spend_days s
        WHERE s.organization_id = r.id AND s.day > current_date - 30) AS spent
FROM (
    SELECT * FROM ranked WHERE ($2::text IS NULL OR plan_name = $2) AND ($3::int IS NULL OR rank = $3)
    AND ($4::text IS NULL OR id = $5 OR name ILIKE $4 OR EXISTS (
        SELECT FROM memberships m JOIN users u ON u.id = m.user_id
        WHERE m.organization_id = ranked.id AND lower(u.email) = lower($5)))
    AND ($6::int IS NULL OR (rank, lower(name), id) > ($6, $7, $8))
    ORDER BY rank, lower(name), id LIMIT $1
) r
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE revoked_at IS NULL OR revoked_at > now()) AS keys, max(last_used_at) AS last_call_at
    FROM api_keys WHERE organization_id = r.id
) k
ORDER BY r.rank, sorted_name, r.id
"""
_SUMS = f"""
{_RANKED}
SELECT count(*) AS organizations, count(*) FILTER (WHERE rank = 3) AS without_subscription,
       count(*) FILTER (WHERE rank = 0) AS out_of_credits, coalesce(sum(available), 0) AS available,
       (SELECT coalesce(sum(amount), 0) FROM spend_days WHERE day > current_date - 30) AS spent
FROM ranked
"""


@dataclass(frozen=True)
class ListedOrganization:
    """An organization in the list.

    Attributes:
        id: its id.
        name: its name.
        plan_name: its plan.
        rank: 0 it has no credits, 1 few, 2 many of its attempts failed today, 3 it has no subscription, 4 none of that.
        members: how many.
        keys: how many that are not revoked.
        last_call_at: when one of its keys was last used.
        spent: credits, in 30 days.
        available: credits.
        failures: attempts that failed in 24 hours.
    """

    id: str
    name: str
    sorted_name: str
    plan_name: str
    rank: int
    members: int
    keys: int
    last_call_at: datetime | None
    spent: Decimal
    available: Decimal
    failures: int


@dataclass(frozen=True)
class Sums:
    """All organizations together."""

    organizations: int
    without_subscription: int
    out_of_credits: int
    available: Decimal
    spent: Decimal


async def list_organizations(
    tx: Transaction,
    limit: int,
    *,
    text: str | None = None,
    plan: str | None = None,
    rank: int | None = None,
    after: tuple[int, str, str] | None = None,
) -> Sequence[ListedOrganization]:
    """Organizations by rank and name, from the one that follows a position: rank, name in small letters and id.

    Args:
        tx: the transaction.
        limit: how many.
        text: a part of the name, an id, or the address of a member.
        plan: those of one plan.
        rank: those of one rank.
        after: the position.
    """
    like = None if text is None else f"%{text.translate(_LIKE)}%"
    rows = await tx.fetch(_PAGE, limit, plan, rank, like, text, *(after or (None, None, None)))
    names = ListedOrganization.__dataclass_fields__
    return [ListedOrganization(**{name: row[name] for name in names}) for row in rows]


async def sum_up(tx: Transaction) -> Sums:
    """All organizations together."""
    row: Any = await tx.fetchrow(_SUMS)
    return Sums(**row)


_ONE = f"""
{_RANKED}
SELECT r.id, r.name, r.plan_name, r.rank, r.created_at, r.is_subscribed, r.failures, r.available,
       coalesce(a.balance, 0) AS balance, coalesce(a.held, 0) AS held,
       (SELECT count(*) FROM (SELECT FROM credit_holds h WHERE h.organization_id = r.id AND h.state = 'open'
                              LIMIT 1000) AS few) AS holds,
       (SELECT coalesce(sum(amount), 0) FROM spend_days s
        WHERE s.organization_id = r.id AND s.day > current_date - 30) AS spent,
       (SELECT max(threshold) FROM credit_alerts c WHERE c.organization_id = r.id) AS warns_below,
       (SELECT count(*) FROM agents g WHERE g.organization_id = r.id) AS agents,
       (SELECT count(*) FROM api_keys k WHERE k.organization_id = r.id
        AND (k.revoked_at IS NULL OR k.revoked_at > now())) AS keys,
       p.requests_per_minute, p.concurrent_requests, p.concurrent_generations, p.monthly_credits
FROM ranked r JOIN plans p ON p.name = r.plan_name LEFT JOIN credit_accounts a ON a.organization_id = r.id
WHERE r.id = $1
"""


@dataclass(frozen=True)
class ShownOrganization:
    """One organization, for its page. See `ListedOrganization` for what is named alike."""

    id: str
    name: str
    plan_name: str
    rank: int
    created_at: datetime
    is_subscribed: bool
    failures: int
    available: Decimal
    balance: Decimal
    held: Decimal
    holds: int
    spent: Decimal
    warns_below: Decimal | None
    agents: int
    keys: int
    requests_per_minute: int
    concurrent_requests: int
    concurrent_generations: int
    monthly_credits: Decimal


async def find_organization(tx: Transaction, organization_id: str) -> ShownOrganization | None:
    """One organization."""
    row: Any = await tx.fetchrow(_ONE, organization_id)
    return None if row is None else ShownOrganization(**row)


MEMBERS_SHOWN = 20
_MEMBERS = f"""
SELECT u.id, u.email, m.role, m.suspended_at IS NOT NULL AS is_suspended
FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1
ORDER BY m.role <> 'owner', u.email LIMIT {MEMBERS_SHOWN + 1}
"""


@dataclass(frozen=True)
class ShownMember:
    """A member of the organization."""

    id: str
    email: str
    role: str
    is_suspended: bool


async def list_members(tx: Transaction, organization_id: str) -> Sequence[ShownMember]:
    """The organization's members, owners first; of many, the first and one more than is shown."""
    return [ShownMember(**row) for row in await tx.fetch(_MEMBERS, organization_id)]


_GIVEN = """
SELECT e.id, e.created_at, e.kind, e.reference, e.amount, e.description, e.balance_after, a.actor_kind, a.email
FROM (SELECT * FROM ledger_entries WHERE organization_id = $1 AND kind <> 'charge'
      ORDER BY id DESC LIMIT 20) e
LEFT JOIN LATERAL (
    SELECT v.actor_kind, u.email FROM audit_events v LEFT JOIN users u ON u.id = v.actor_id
    WHERE v.object_id = e.reference ORDER BY v.at LIMIT 1
) a ON true
ORDER BY e.id DESC
"""


@dataclass(frozen=True)
class Given:
    """A grant or an adjustment, and who has made it, as far as that is known."""

    id: int
    created_at: datetime
    kind: str
    reference: str
    amount: Decimal
    description: str
    balance_after: Decimal
    actor_kind: str | None
    email: str | None


async def list_given(tx: Transaction, organization_id: str) -> Sequence[Given]:
    """The organization's last grants and adjustments, newest first."""
    return [Given(**row) for row in await tx.fetch(_GIVEN, organization_id)]
