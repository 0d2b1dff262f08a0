"""Charges of an organization, as if made just now or at a chosen time."""

from datetime import UTC, datetime

from app.core.database import Database
from tests.credits.spending import Call, Origin, add_charge
from tests.factories import Organization

NOW = datetime.now(UTC)


async def charge(
    database: Database,
    organization: Organization,
    *costs: str,
    user: str | None = None,
    model: str = "sim-metered",
    at: datetime | None = None,
    charged: str | None = None,
) -> str:
    """Charge calls of these costs; returns the entry's reference."""
    origin = Origin(organization_id=organization.id, user_id=user or organization.user_id, model=model)
    async with database.transaction() as tx:
        calls = [Call(cost, model=model) for cost in costs]
        return await add_charge(tx, origin, at or NOW, calls, charged=charged)
