"""Usage and ledger: with a month of spending, with one entry open, with filters that find nothing."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Transaction
from app.credits import alerts
from app.credits import service as credits
from tests.browser.world import Case, World
from tests.credits.spending import Call, Origin, add_charge

_MODELS = ("minimax/video-01", "gpt-4.1-mini", "meta/musicgen", "stability-ai/sdxl", "a/b", "c/d", "m" * 64)


async def pages(world: World) -> list[Case]:
    async with world.database.transaction() as tx:
        entry = await _spend(tx, world.organization.id, world.organization.user_id)
        await alerts.add_alert(tx, world.organization.id, Decimal(1000), actor=COMMAND_LINE)
        await credits.hold(
            tx,
            Attribution(organization_id=world.organization.id, agent="painter", model="minimax/video-01"),
            reference=f"turn:held-{world.organization.id}",
            amount=Decimal("0.027115"),
            expires_in=timedelta(hours=1),
        )
    return [
        Case("usage", "/usage"),
        Case("usage-quarter", "/usage?period=90&split=agent"),
        Case("usage-compared", "/usage?split=model&pick=gpt-4.1-mini&pick=a/b"),
        Case("usage-nothing", "/usage?pick=never"),
        Case("usage-member", "/usage", as_role="member"),
        Case("usage-viewer", "/usage", as_role="viewer"),
        Case("alert-remove", "/usage/alerts/1000/remove"),
        Case("ledger", "/ledger"),
        Case("ledger-entry", f"/ledger/{entry}?kind=charge&cursor=first"),
        Case("ledger-nothing", "/ledger?search=never&kind=adjustment&first=2026-01-01"),
        Case("ledger-member", "/ledger", as_role="member"),
        Case("ledger-holds", "/ledger/holds"),
    ]


async def _spend(tx: Transaction, organization_id: str, user_id: str) -> str:
    """Spend for a month; returns the reference of the last entry."""
    for day in range(30):
        for number, model in enumerate(_MODELS):
            cost = f"0.{day * 7 + number + 1:06}"
            calls = [Call(cost, agent=f"agent-{number % 3}", model=model)] * (1 + number % 2)
            at = datetime.now(UTC) - timedelta(days=day, seconds=number)
            origin = Origin(organization_id=organization_id, user_id=user_id, model=model)
            await add_charge(tx, origin, at, calls)
    return await add_charge(
        tx,
        Origin(organization_id=organization_id, user_id=user_id),
        datetime.now(UTC),
        [Call("0.000899"), Call("0.001131")],
    )
