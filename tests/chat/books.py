"""What turns cost, according to the ledger and according to the documented rule."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from app.core.database import Database
from tests.agents.definitions import COMPLETION_PRICE, PROMPT_PRICE
from tests.factories import Organization
from tests.waiting import PATIENCE

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Books:
    """An organization's charges and the states of its holds, both in order, and how many credits are held."""

    charges: list[Decimal]
    estimated: list[bool]
    holds: list[str]
    held: Decimal = Decimal(0)

    @property
    def total(self) -> Decimal:
        return sum(self.charges, Decimal(0))


NOTHING_CHARGED = Books([], [], ["voided"])


def charged(*charges: Decimal, is_estimated: bool = False) -> Books:
    """The books after one ended turn for each charge."""
    return Books([*charges], [is_estimated] * len(charges), ["settled"] * len(charges))


async def books_of(database: Database, organization: Organization) -> Books:
    """The organization's books now."""
    async with database.transaction() as tx:
        # Holds first, because each statement sees what was committed before it: a hold ends together with its charge.
        holds = await tx.fetch("SELECT state FROM credit_holds WHERE organization_id = $1 ORDER BY id", organization.id)
        entries = await tx.fetch(
            "SELECT -amount AS charge, is_estimated FROM ledger_entries "
            "WHERE organization_id = $1 AND kind = 'charge' ORDER BY id",
            organization.id,
        )
        held = await tx.fetchval("SELECT held FROM credit_accounts WHERE organization_id = $1", organization.id)
    return Books(
        [entry["charge"] for entry in entries],
        [entry["is_estimated"] for entry in entries],
        [hold["state"] for hold in holds],
        held,
    )


async def closed_books_of(database: Database, organization: Organization) -> Books:
    """The organization's books as soon as it has at least one hold and none is open."""
    async with asyncio.timeout(PATIENCE):
        while True:
            books = await books_of(database, organization)
            if books.holds and "open" not in books.holds:
                return books
            await asyncio.sleep(0.02)


def cost_of(usages: Iterable[dict[str, int]]) -> Decimal:
    """The cost of calls with these usages."""
    tokens = [usage["prompt_tokens"] * PROMPT_PRICE + usage["completion_tokens"] * COMPLETION_PRICE for usage in usages]
    return sum(tokens, Decimal(0)) / _MILLION


def tokens_of(usage: dict[str, Any]) -> dict[str, int]:
    """The three counts of a usage, without what they consist of."""
    return {name: value for name, value in usage.items() if not name.endswith("_details")}


def estimate_of(request: dict[str, Any], delivered: str) -> Decimal:
    """The cost of a call whose usage is unknown: one token for four bytes of the request and of what was delivered."""
    prompt = orjson.dumps([request["messages"], request.get("tools"), request.get("response_format")])
    usage = {"prompt_tokens": _quarter(len(prompt)), "completion_tokens": _quarter(len(delivered.encode()))}
    return cost_of([usage])


def _quarter(size: int) -> int:
    return -(-size // 4)
