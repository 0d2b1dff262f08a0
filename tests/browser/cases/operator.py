"""What operators look at: the audit log, organizations, plans, the catalog and the system."""

import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial

from app.audit.actor import SERVER, Actor, ActorKind
from app.audit.service import log_change
from app.catalog import service as catalog
from app.catalog.models import ModelKind
from app.catalog.toml import PriceEntry
from app.core.database import Transaction
from app.core.request_context import request_id_var, source_var
from app.credits.adjustments import adjust
from app.credits.grants import grant_manually
from app.organizations import service as organizations
from tests.browser.world import Case, World
from tests.factories import make_key, make_organization

_LONG_NAME = "night-kiosk-audio-and-moving-pictures-cooperative-of-the-harbour"


async def pages(world: World) -> list[Case]:
    mark = secrets.token_hex(4)
    model, low = f"harbor-labs/{mark}", f"{mark} {_LONG_NAME}"[:64]
    needy = await make_organization(world.database, credit="18.220415", plan="pro")
    await make_key(world.database, needy, requests_per_minute=250)
    async with world.database.transaction() as tx:
        await tx.execute("UPDATE organizations SET name = $2 WHERE id = $1", needy.id, low)
        await _give(tx, needy.id, mark)
        await _price(tx, model, world.organization.id)
        await _change(tx, world.organization.id, world.organization.user_id)
        await _fail(tx, world.organization.id, world.organization.user_id, model)
    return [
        Case("audit", f"/audit?organization={world.organization.id}"),
        Case("audit-admin", "/audit", as_role="admin"),
        Case("audit-nothing", "/audit?q=nothing-has-this-name&what=keys&from=2026-01-01"),
        Case("audit-forbidden", "/audit", as_role="member"),
        Case("organizations", f"/organizations?q={mark}"),
        Case("organizations-nothing", "/organizations?q=nothing-has-this-name&plan=pro"),
        Case("organization", f"/organizations/{needy.id}"),
        Case("organization-new", "/organizations/new"),
        Case("organization-off", f"/organizations/{needy.id}/subscription"),
        Case("plans", "/plans/pro"),
        Case("plan-new", "/plans/new"),
        Case("catalog", "/catalog?q=harbor"),
        Case("catalog-nothing", "/catalog?q=nothing-has-this-name"),
        Case("catalog-model", f"/catalog/{model}"),
        Case("catalog-chat", "/catalog/sim-chat"),
        Case("catalog-off", f"/catalog/{model}?act=off"),
        Case("catalog-new", "/catalog/new"),
        Case("catalog-import", "/catalog/import"),
        Case("system", "/system"),
    ]


async def _give(tx: Transaction, organization_id: str, mark: str) -> None:
    await grant_manually(
        tx,
        organization_id,
        amount=Decimal(400),
        reference=f"INV-{mark}",
        description="Prepaid for autumn",
        actor=SERVER,
    )
    await adjust(
        tx, organization_id, amount=Decimal("-399.5"), reason="Typed 400 twice", reference=f"T-{mark}", actor=SERVER
    )
    await tx.execute("INSERT INTO credit_alerts (organization_id, threshold) VALUES ($1, 50)", organization_id)


async def _price(tx: Transaction, model: str, organization_id: str) -> None:
    price = PriceEntry(per_output=Decimal("0.04"), per_second=Decimal("0.000975"), ceiling=Decimal("0.16"))
    await catalog.set_price(tx, model, ModelKind.GENERATION, price, actor=SERVER)
    later = datetime.now(UTC) + timedelta(days=3)
    following = PriceEntry(per_output=Decimal("0.0425"), ceiling=Decimal("0.16"), effective_at=later)
    await catalog.add_price(tx, model, following, actor=SERVER)
    await tx.execute(
        "INSERT INTO models (name, kind, description, is_active) VALUES ($1, 'generation', '', false)", model[::-1]
    )
    await tx.execute(
        "INSERT INTO spend_days (organization_id, day, api_key_id, user_id, agent, model, amount, charges, calls,"
        " prompt_tokens, completion_tokens, predict_time, outputs)"
        " VALUES ($1, current_date, '', '', '', $2, 40.16, 1004, 1004, 0, 0, 311.5, 1004)",
        organization_id,
        model,
    )


async def _change(tx: Transaction, organization_id: str, user_id: str) -> None:
    actor = Actor(ActorKind.USER, user_id)
    source_var.set("203.0.113.24")
    request_id_var.set(f"req-{secrets.token_hex(12)}")
    log = partial(log_change, tx, actor, organization_id=organization_id)
    scopes = ["orchestrator:invoke", "agents:list", "agents:invoke", "sessions:read", "content:read"]
    log("key_created", object_id="key-1", after={"name": _LONG_NAME, "scopes": scopes})
    log(
        "agent_changed",
        object_id="illustrator",
        before={"instruction": "Draw what is asked for, in under 80 words. " * 9},
        after={"instruction": "Draw what is asked for, in under 60 words. " * 9},
    )
    name = {"name": "storyboard-test"}
    log("key_revoked", object_id="key-2", before={**name, "state": "on"}, after={**name, "state": "off"})
    await organizations.change_plan(tx, organization_id, "pro", actor=actor)
    await organizations.change_plan(tx, organization_id, "roomy", actor=actor)


async def _fail(tx: Transaction, organization_id: str, user_id: str, model: str) -> None:
    price_id = await tx.fetchval("SELECT min(id) FROM prices WHERE model_name = $1", model)
    for number, reason in enumerate(["Replicate answered 503"] * 4 + ["The output is too large to copy"]):
        generation_id = await tx.fetchval(
            "INSERT INTO generations (id, organization_id, user_id, model, input, prompt, price_id, max_retries,"
            " file_token, status, retry_count, deadline_at, failures, is_parked, webhook_nonce, error_message,"
            " credit_cost, completed_at) VALUES (gen_random_uuid(), $1, $2, $3, '{}', '', $4, 0, $5, 'failed', 0,"
            " now(), 0, false, $5, $6, 0, now()) RETURNING id",
            organization_id,
            user_id,
            model,
            price_id,
            f"{secrets.token_hex(8)}{number}",
            reason,
        )
        await tx.execute(
            "INSERT INTO attempts (generation_id, number, organization_id, ended_at, ending, error_message)"
            " VALUES ($1, 0, $2, now() - interval '5 minutes', 'failed', $3)",
            generation_id,
            organization_id,
            reason,
        )
