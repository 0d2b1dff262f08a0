"""The pages of webhooks: with endpoints that work, fail and are switched off, and deliveries of every kind."""

from app.audit.actor import COMMAND_LINE
from app.core.settings import Settings
from app.webhook_endpoints import outbox, service
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.outbox import NewEvent
from app.webhook_endpoints.service import EndpointChanges, Setup
from tests.browser.world import Case, World
from tests.core.sites import settings_of
from tests.webhook_endpoints.endpoints import add_endpoint, deliveries

_LONG = "https://example.com/" + "a-very-long-path-without-white-space" * 6
_LATER = "UPDATE webhook_deliveries SET due_at = now() + interval '1 hour' WHERE organization_id = $1"
_TRIED = """
WITH ended AS (
    UPDATE webhook_deliveries SET state = $2, tries = 1, due_at = now() + interval '5 minutes',
           ended_at = CASE WHEN $2 = 'pending' THEN NULL ELSE now() END
    WHERE id = $1 RETURNING id
)
INSERT INTO webhook_tries (delivery_id, number, began_at, duration_ms, status, reason, response)
SELECT id, 1, now(), 812, $3, $4, $5 FROM ended
"""


async def pages(world: World) -> list[Case]:
    settings = settings_of(world.stack.environment)
    organization_id = world.organization.id
    off = await _endpoint(world, settings, _LONG)
    busy = await _endpoint(world, settings, "https://hooks.example.com/junis")
    async with world.database.transaction() as tx:
        changes = EndpointChanges(is_enabled=False, description="What the old shop was told")
        await service.change_endpoint(tx, organization_id, off, Setup.of(settings), changes, actor=COMMAND_LINE)
        await tx.execute("UPDATE webhook_endpoints SET failing_since = now() WHERE id = $1", busy)
    async with world.database.transaction() as tx:
        for subject in ("delivered", "refused", "waits"):
            event = NewEvent(EventType.CREDITS_LOW, subject, {"threshold": 25.0, "available": 12.5})
            await outbox.write(tx, organization_id, [event])
        # Nothing is sent from here.
        await tx.execute(_LATER, organization_id)
    found = await deliveries(world.database, organization_id)
    async with world.database.transaction() as tx:
        await tx.execute(_TRIED, found[0].id, "delivered", 200, None, "ok")
        failed = ("failed", 500, "The receiver answered 500", "<html>" + "x" * 400)
        await tx.execute(_TRIED, found[1].id, *failed)
    return [
        Case("webhooks", "/webhooks"),
        Case("webhooks-empty", "/webhooks", as_role="member"),
        Case("webhook-new", "/webhooks/new"),
        Case("webhook-secret-too-late", f"/webhooks/secret?endpoint={busy}"),
        Case("webhook", f"/webhooks/{busy}"),
        Case("webhook-off", f"/webhooks/{off}?state=failed"),
        Case("webhook-edit", f"/webhooks/{off}/edit"),
        Case("webhook-rotate", f"/webhooks/{busy}/rotate"),
        Case("webhook-delete", f"/webhooks/{off}/delete"),
        Case("webhook-delivered", f"/webhooks/deliveries/{found[0].id}"),
        Case("webhook-failed", f"/webhooks/deliveries/{found[1].id}"),
        Case("webhook-waits", f"/webhooks/deliveries/{found[2].id}"),
    ]


async def _endpoint(world: World, settings: Settings, url: str) -> str:
    made = await add_endpoint(world.database, settings, world.organization.id, url, ["credits.low"])
    return made.endpoint.id
