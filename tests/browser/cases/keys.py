"""The pages of API keys."""

from datetime import timedelta
from typing import Any

import httpx

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.models import ApiKey
from app.api_keys.scopes import ALL_SCOPES
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from tests.browser.world import Case, World
from tests.credits.spending import Call, Origin, add_charge

LONG = "usage-exporter-for-the-finance-teams-monthly-report-do-not-delete"[:64]
UNBROKEN = "k" * 64


async def pages(world: World) -> list[Case]:
    used = await add_key(world, name="backend", description="Orders and mails of the shop", scopes=ALL_SCOPES)
    await use(world, world.organization.api_key)
    busy = await add_key(world, name="exporter")
    await spend(world, busy.id, days=24)
    limited = await add_key(world, name="mobile-app", requests_per_minute=60, requests_per_hour=2000)
    await add_key(world, name=LONG, scopes=["sessions:read"])
    soon = await add_key(world, name=UNBROKEN, expires_at=now() + timedelta(days=2, hours=1))
    revoked = await add_key(world, name="backend-2025")
    async with world.database.transaction() as tx:
        await api_keys.revoke_key(tx, world.organization.id, revoked.id, actor=COMMAND_LINE)
        rotated = await api_keys.rotate_key(tx, world.organization.id, limited.id, actor=COMMAND_LINE)
        first = (await api_keys.list_keys(tx, world.organization.id))[0]
    return [
        Case("keys", "/keys"),
        Case("keys-all", "/keys?state=all"),
        Case("keys-nothing-found", "/keys?q=zebra"),
        Case("keys-viewer", "/keys", as_role="viewer"),
        Case("keys-empty", "/keys", as_role="member"),
        Case("key-new", "/keys/new"),
        Case("key-created-too-late", f"/keys/created?key={rotated.row.id}"),
        Case("key", f"/keys/{first.id}"),
        Case("key-busy", f"/keys/{busy.id}"),
        Case("key-unused", f"/keys/{used.id}"),
        Case("key-unbroken-name", f"/keys/{soon.id}"),
        Case("key-rotated", f"/keys/{limited.id}"),
        Case("key-revoked", f"/keys/{revoked.id}"),
        Case("key-viewer", f"/keys/{first.id}", as_role="viewer"),
        Case("key-edit", f"/keys/{used.id}/edit"),
        Case("key-rotate", f"/keys/{soon.id}/rotate"),
        Case("key-revoke", f"/keys/{soon.id}/revoke"),
        Case("key-revoke-over", f"/keys/{revoked.id}/revoke"),
    ]


async def add_key(world: World, **properties: Any) -> ApiKey:
    """A key of the world's owner."""
    async with world.database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(**properties),
            organization_id=world.organization.id,
            user_id=world.organization.user_id,
            actor=COMMAND_LINE,
        )
    return new.row


async def use(world: World, secret: str) -> None:
    """Chat with a key, so that it has figures."""
    async with httpx.AsyncClient(base_url=world.stack.base_url, headers={"X-API-Key": secret}, timeout=60) as client:
        body = {"messages": [{"role": "user", "content": "hello"}]}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200


async def spend(world: World, key_id: str, days: int) -> None:
    """Charge so many of the last days to a key."""
    origin = Origin(organization_id=world.organization.id, user_id=world.organization.user_id, api_key_id=key_id)
    async with world.database.transaction() as tx:
        for day in range(days):
            await add_charge(tx, origin, now() - timedelta(days=day), [Call(f"0.00{day + 17}")])
