"""Endpoints for tests, made by the service, and what their rows say."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.core.settings import Settings
from app.webhook_endpoints import outbox, service
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.outbox import NewEvent
from app.webhook_endpoints.repository import Delivery, DeliveryFilter
from app.webhook_endpoints.service import NewSecret, Setup


async def add_endpoint(
    database: Database, settings: Settings, organization_id: str, url: str, events: Sequence[str] = tuple(EventType)
) -> NewSecret:
    """An endpoint that wants these events."""
    async with database.transaction() as tx:
        return await service.create_endpoint(
            tx, organization_id, Setup.of(settings), url=url, events=events, actor=COMMAND_LINE
        )


async def tell(database: Database, organization_id: str, *subjects: str) -> None:
    """An event for each subject."""
    async with database.transaction() as tx:
        events = [NewEvent(EventType.CREDITS_LOW, subject, {"subject": subject}) for subject in subjects]
        await outbox.write(tx, organization_id, events)


async def deliveries(database: Database, organization_id: str) -> Sequence[Delivery]:
    """The newest deliveries, the newest first."""
    async with database.transaction() as tx:
        return await service.list_deliveries(tx, DeliveryFilter(organization_id), after=None, limit=100)


async def make_due(database: Database) -> None:
    """Let the pauses of all deliveries end, and the leases of those that are being sent."""
    async with database.transaction() as tx:
        await tx.execute("UPDATE webhook_deliveries SET due_at = now() WHERE state = 'pending'")


async def column(database: Database, endpoint_id: str, name: str) -> Any:
    """One column of an endpoint."""
    async with database.transaction() as tx:
        return await tx.fetchval(f"SELECT {name} FROM webhook_endpoints WHERE id = $1", endpoint_id)


async def fail_since(database: Database, endpoint_id: str, age: timedelta) -> None:
    """As if every try had failed for so long."""
    async with database.transaction() as tx:
        statement = "UPDATE webhook_endpoints SET failing_since = now() - $2::interval WHERE id = $1"
        await tx.execute(statement, endpoint_id, age)
