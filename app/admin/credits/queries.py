"""What the pages of credits read."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.admin.credits.ledger_filter import LedgerFilter
from app.admin.credits.walk_queries import Walk, bounds_of_days
from app.core.database import Transaction
from app.credits.models import HoldState

# So many open holds are counted; of more it is only said that there are more.
MOST_COUNTED = 1000

_COLUMNS = """
    l.id, l.kind, l.reference, l.amount, l.balance_after, l.is_estimated, l.description, l.created_at,
    l.api_key_id, l.user_id, l.agent, l.model, l.session_id, l.turn_id, l.request_id,
    (SELECT sum((q->>'calls')::bigint)::bigint FROM jsonb_array_elements(l.quantities) q) AS calls
"""
_CONTENT = "^(?:late:|superseded:)?generation:([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):"
# Only of the rows that are shown: the names of what they are about.
_NAMED = f"""
    SELECT l.*, k.name AS key_name, u.email AS user_email, s.public_id AS session, c.id AS content_id,
           c.content_type
    FROM l
    LEFT JOIN api_keys k ON k.id = l.api_key_id AND k.organization_id = $1
    LEFT JOIN users u ON u.id = l.user_id
    LEFT JOIN sessions s ON s.id = l.session_id AND s.organization_id = $1
    LEFT JOIN generations c ON c.organization_id = $1
         AND c.id = substring(l.reference FROM '{_CONTENT}')::uuid
"""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of the ledger with the names of what it is about.

    Attributes:
        calls: of a charge: its model calls and generations; None of what is older than these are counted.
        session: the session's name in addresses.
    """

    id: int
    kind: str
    reference: str
    amount: Decimal
    balance_after: Decimal
    is_estimated: bool
    description: str
    created_at: datetime
    api_key_id: str | None
    user_id: str | None
    agent: str | None
    model: str | None
    session_id: uuid.UUID | None
    turn_id: str | None
    request_id: str | None
    calls: int | None
    key_name: str | None
    user_email: str | None
    session: str | None
    content_id: uuid.UUID | None
    content_type: str | None


@dataclass(frozen=True)
class Hold:
    """What is held for an action that has not ended."""

    reference: str
    amount: Decimal
    created_at: datetime
    expires_at: datetime | None
    agent: str | None
    model: str | None
    key_name: str | None
    user_email: str | None
    session: str | None
    content_id: uuid.UUID | None


@dataclass(frozen=True)
class Found:
    """One page of the ledger.

    Attributes:
        entries: what was found.
        next: below which id the next page begins; None if this is the last one.
        is_cut: whether there may be more although the page is not full, because enough entries were looked through.
    """

    entries: Sequence[Entry]
    next: int | None
    is_cut: bool = False


async def list_entries(
    tx: Transaction,
    organization_id: str,
    chosen: LedgerFilter,
    *,
    size: int,
    only_user: str | None = None,
    before: int | None = None,
    newest: int | None = None,
) -> Found:
    """One page of up to `size` entries of the organization's ledger, the newest first.

    Args:
        tx: the transaction.
        organization_id: whose ledger.
        chosen: which of its entries.
        size: how many at most.
        only_user: only what this user has spent; None: everything.
        before: only those with a smaller id, of which the page before has told.
        newest: none with a larger id.
    """
    bounds = await bounds_of_days(tx, organization_id, chosen.first, chosen.last)
    for highest in (newest, None if before is None else before - 1):
        bounds = bounds.up_to(highest)
    walk = Walk.of(organization_id, chosen, only_user, bounds)
    sql = f"WITH l AS ({walk.page(_COLUMNS, size + 1)}) {_NAMED} ORDER BY l.id DESC"
    entries = [Entry(**row) for row in await tx.fetch(sql, *walk.values)]
    if len(entries) > size:
        return Found(entries[:size], entries[size - 1].id)
    last = await tx.fetchval(walk.end(), *walk.values[: walk.driving_values]) if walk.passes_over else None
    return Found(entries, last, is_cut=last is not None)


async def find_entry(
    tx: Transaction, organization_id: str, reference: str, *, only_user: str | None = None
) -> Entry | None:
    """One entry of the organization's ledger; of one user, if one is given."""
    row = await tx.fetchrow(
        f"""
        WITH l AS (
            SELECT {_COLUMNS} FROM ledger_entries l
            WHERE l.organization_id = $1 AND l.reference = $2 AND ($3::text IS NULL OR l.user_id = $3)
        ) {_NAMED}
        """,
        organization_id,
        reference.replace("\0", ""),
        only_user,
    )
    return Entry(**row) if row else None


async def first_below(tx: Transaction, organization_id: str, entry_id: int) -> str | None:
    """The reference of the newest entry with a smaller id.

    Addresses name entries by their references, because ids count the entries of all organizations.
    """
    reference: str | None = await tx.fetchval(
        "SELECT reference FROM ledger_entries WHERE organization_id = $1 AND id < $2 ORDER BY id DESC LIMIT 1",
        organization_id,
        entry_id,
    )
    return reference


async def id_of_entry(tx: Transaction, organization_id: str, reference: str) -> int | None:
    """The id of the organization's entry with this reference; None if it has none."""
    entry_id: int | None = await tx.fetchval(
        "SELECT id FROM ledger_entries WHERE organization_id = $1 AND reference = $2",
        organization_id,
        reference.replace("\0", ""),
    )
    return entry_id


async def id_of_hold(tx: Transaction, organization_id: str, reference: str) -> int | None:
    """The id of the organization's hold with this reference, open or ended; None if it has none."""
    hold_id: int | None = await tx.fetchval(
        "SELECT id FROM credit_holds WHERE organization_id = $1 AND reference = $2",
        organization_id,
        reference.replace("\0", ""),
    )
    return hold_id


async def newest_entry(tx: Transaction, organization_id: str) -> int:
    """The id of the organization's newest entry; 0 if it has none."""
    newest = await tx.fetchval(
        "SELECT id FROM ledger_entries WHERE organization_id = $1 ORDER BY id DESC LIMIT 1", organization_id
    )
    return newest or 0


async def count_holds(tx: Transaction, organization_id: str, *, only_user: str | None = None) -> tuple[int, Decimal]:
    """How many holds are open, counted up to `MOST_COUNTED`, and the sum of these in credits."""
    row = await tx.fetchrow(
        f"""
        SELECT count(*) AS holds, coalesce(sum(amount), 0) AS amount FROM (
            SELECT amount FROM credit_holds WHERE organization_id = $1 AND state = '{HoldState.OPEN}'
               AND ($2::text IS NULL OR user_id = $2) LIMIT {MOST_COUNTED}
        ) open
        """,
        organization_id,
        only_user,
    )
    return (row["holds"], row["amount"]) if row else (0, Decimal(0))


async def list_holds(
    tx: Transaction, organization_id: str, *, limit: int, before: int | None = None, only_user: str | None = None
) -> Sequence[Hold]:
    """The organization's open holds, the newest first."""
    rows = await tx.fetch(
        f"""
        WITH l AS (
            SELECT id, reference, amount, created_at, expires_at, agent, model, api_key_id, user_id, session_id
            FROM credit_holds
            WHERE organization_id = $1 AND state = '{HoldState.OPEN}' AND ($2::bigint IS NULL OR id < $2)
              AND ($3::text IS NULL OR user_id = $3)
            ORDER BY id DESC LIMIT $4
        )
        SELECT n.reference, n.amount, n.created_at, n.expires_at, n.agent, n.model, n.key_name, n.user_email,
               n.session, n.content_id
        FROM ({_NAMED}) n ORDER BY n.id DESC
        """,
        organization_id,
        before,
        only_user,
        limit,
    )
    return [Hold(**row) for row in rows]
