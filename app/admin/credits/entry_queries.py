"""What an entry of the ledger was computed from."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.catalog.pricing import PRICE_UNITS, PriceTag
from app.core.database import Transaction
from app.credits.charge_lines import SPENT, charge_lines
from app.credits.models import EventKind
from app.credits.references import LATE, SUPERSEDED


@dataclass(frozen=True)
class Line:
    """One model call or generation of a charge.

    Attributes:
        kind: what was used; None of a charge that is older than metering events.
        amount: the part of the charge, in credits.
        cost: what it cost; more than the amount if no more credits were available. None as `kind` is.
        price: what the cost was computed from; None as `kind` is.
        priced_at: since when that was the price.
        seconds: how long the call took; None if it is not known.
    """

    kind: EventKind | None
    agent: str | None
    model: str | None
    amount: Decimal
    cost: Decimal | None
    is_estimated: bool
    price: PriceTag | None
    priced_at: datetime | None
    prompt_tokens: int | None
    completion_tokens: int | None
    predict_time: Decimal | None
    outputs: int | None
    seconds: float | None


@dataclass(frozen=True)
class EntryHold:
    """The hold that an entry has settled, or that it gives back what was charged for."""

    reference: str
    amount: Decimal
    charged: Decimal | None
    created_at: datetime
    ended_at: datetime | None
    calls_opened: int
    superseded_by: str | None


_LINES = f"""
WITH entry AS (
    SELECT * FROM ledger_entries WHERE organization_id = $1 AND id = $2 AND {SPENT}
), {charge_lines("entry")}
SELECT lines.*, p.effective_at, p.model_name, p.ceiling, {", ".join(f"p.{unit}" for unit in PRICE_UNITS)}
FROM lines LEFT JOIN prices p ON p.id = lines.price_id
ORDER BY lines.number
"""

# A late charge has no hold of its own: it belongs to the one that had ended.
_HOLD = f"""
SELECT h.reference, h.amount, h.charged, h.created_at, h.ended_at, h.calls_opened, h.superseded_by
FROM credit_holds h WHERE h.organization_id = $1 AND h.reference = coalesce(
    (SELECT e.hold_reference FROM metering_events e
     WHERE starts_with($2, '{LATE}:') AND e.call_id = substr($2, {len(LATE) + 2})),
    CASE WHEN starts_with($2, '{SUPERSEDED}:') THEN substr($2, {len(SUPERSEDED) + 2}) ELSE $2 END)
"""


async def list_lines(tx: Transaction, organization_id: str, entry_id: int) -> Sequence[Line]:
    """What the entry was computed from, in the order of the calls. The amounts add up to what it took."""
    return [_line(row) for row in await tx.fetch(_LINES, organization_id, entry_id)]


async def find_hold(tx: Transaction, organization_id: str, reference: str) -> EntryHold | None:
    """The hold of the entry with that reference; None if it has none, such as a grant."""
    row = await tx.fetchrow(_HOLD, organization_id, reference)
    return EntryHold(**row) if row else None


def _line(row: Any) -> Line:
    began, ended = row["began_at"], row["ended_at"]
    return Line(
        kind=EventKind(row["kind"]) if row["kind"] else None,
        agent=row["agent"],
        model=row["model"],
        amount=row["amount"],
        cost=row["cost"],
        is_estimated=bool(row["is_estimated"]),
        price=PriceTag.of_row(row, id_column="price_id") if row["price_id"] is not None else None,
        priced_at=row["effective_at"],
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        predict_time=row["predict_time"],
        outputs=row["outputs"],
        seconds=(ended - began).total_seconds() if began and ended else None,
    )
