"""Limits of what keys may spend, and what is counted of it."""

from decimal import Decimal

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyChanges
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests.factories import Organization


async def limit_key(database: Database, host: Organization, amount: str) -> None:
    """Limit what the organization's key may spend."""
    async with database.transaction() as tx:
        (key,) = await api_keys.list_keys(tx, host.id)
        changes = KeyChanges(monthly_credits=Decimal(amount))
        await api_keys.change_key(tx, host.id, key.id, changes, actor=COMMAND_LINE)


async def spend_of(database: Database, host: Organization) -> tuple[Decimal, Decimal]:
    """What the organization's key holds and has spent."""
    async with database.transaction() as tx:
        row = await tx.fetchrow("SELECT held, spent FROM key_spend WHERE organization_id = $1", host.id)
    assert row is not None
    return row["held"], row["spent"]
