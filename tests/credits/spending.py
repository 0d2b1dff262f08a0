"""Charges on chosen days, written as the product writes them, but with a time of their own."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from app.core.database import Transaction
from tests.credits.uses import make_use

_HOLD = """
INSERT INTO credit_holds (organization_id, reference, amount, state, charged, created_at, ended_at, user_id, api_key_id,
                          agent, model)
VALUES ($1, $2, $3, 'settled', $4, $5, $5, $6, $7, $8, $9)
"""
_EVENT = """
INSERT INTO metering_events (organization_id, hold_reference, call_id, kind, price_id, prompt_tokens, completion_tokens,
                             is_estimated, cost, recorded_at, user_id, api_key_id, agent, model)
VALUES ($1, $2, $3, 'model_call', $4, 10, 5, false, $5, $6, $7, $8, $9, $10)
"""
_ENTRY = """
WITH account AS (
    UPDATE credit_accounts SET balance = balance + $3 WHERE organization_id = $1 RETURNING balance
)
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description,
                            created_at, user_id, api_key_id, agent, model)
SELECT $1, $9, $2, $3, balance, false, 'test', $4, $5, $6, $7, $8 FROM account
"""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Whose charge it is."""

    organization_id: str
    user_id: str | None = None
    api_key_id: str | None = None
    agent: str | None = "orchestrator"
    model: str | None = "sim-metered"

    def values(self) -> tuple[str | None, ...]:
        return (self.user_id, self.api_key_id, self.agent, self.model)


@dataclass(frozen=True)
class Call:
    """A call of a charge: its cost, and by which agent with which model."""

    cost: str
    agent: str = "orchestrator"
    model: str = "sim-metered"


async def add_charge(
    tx: Transaction, origin: Origin, at: datetime, calls: Sequence[Call], *, charged: str | None = None
) -> str:
    """Charge the calls at that time; less than they cost if that is given. Returns the reference."""
    reference = f"turn:{secrets.token_hex(8)}"
    cost = sum((Decimal(call.cost) for call in calls), Decimal(0))
    amount = cost if charged is None else Decimal(charged)
    await tx.execute(_HOLD, origin.organization_id, reference, cost, amount, at, *origin.values())
    for number, call in enumerate(calls):
        await add_event(tx, origin, at, reference, f"{reference}:{number}", call)
    await add_entry(tx, origin, at, reference, -amount)
    return reference


async def add_event(tx: Transaction, origin: Origin, at: datetime, reference: str, call_id: str, call: Call) -> None:
    """Record a call of the hold."""
    use = await make_use(tx, call_id)
    await tx.execute(
        _EVENT,
        origin.organization_id,
        reference,
        call_id,
        use.price_id,
        Decimal(call.cost),
        at,
        origin.user_id,
        origin.api_key_id,
        call.agent,
        call.model,
    )


async def add_entry(
    tx: Transaction, origin: Origin, at: datetime, reference: str, amount: Decimal, kind: str = "charge"
) -> None:
    """Change the balance by an entry of that time."""
    await tx.execute(_ENTRY, origin.organization_id, reference, amount, at, *origin.values(), kind)
