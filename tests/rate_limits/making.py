"""Plans and limits that a single test uses."""

import secrets
from decimal import Decimal
from typing import Any

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import service as organizations
from app.rate_limits.decisions import Limits


async def make_plan(
    database: Database, *, per_minute: int = 1000, concurrent: int = 1000, name: str | None = None
) -> str:
    """Create a plan with these limits, or change the named one; returns its name."""
    name = name or f"plan-{secrets.token_hex(4)}"
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name=name,
            requests_per_minute=per_minute,
            concurrent_requests=concurrent,
            concurrent_generations=1000,
            monthly_credits=Decimal(0),
            actor=COMMAND_LINE,
        )
    return name


def make_limits(**named: Any) -> Limits:
    """The limits of a new organization and key: those that are named, and otherwise limits that no test reaches."""
    token = secrets.token_hex(8)
    wide: dict[str, Any] = {"per_minute": 100_000, "concurrent": 100_000}
    none: dict[str, Any] = {"key_per_minute": None, "key_per_hour": None}
    return Limits(organization_id=f"org-{token}", key_id=f"key-{token}", **{**wide, **none, **named})
