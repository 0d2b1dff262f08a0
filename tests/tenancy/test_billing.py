"""Every POST route is known to cost credits or not; one that does refuses an organization without credits."""

from datetime import timedelta

import httpx

from app.core.attribution import Attribution
from app.core.database import Database
from app.credits import service as credits
from tests import factories
from tests.faults.books import faults_of
from tests.tenancy.tenants import MODELS, Route, Tenant, make_tenant


async def test_every_post_route_is_declared_metered_or_free(routes: list[Route]) -> None:
    declared = {str(route): route.billing for route in routes if route.method == "POST"}

    assert declared
    assert set(declared.values()) <= {"metered", "free"}, declared


async def test_metered_routes_refuse_an_organization_without_credits_and_others_do_not(
    anyone: httpx.AsyncClient, database: Database, routes: list[Route]
) -> None:
    # A failed content can be retried, and costs nothing.
    await factories.price_models(database, "simulator/image--fail")
    await factories.import_catalog(database, MODELS)
    poor = await make_tenant(anyone, database, "simulator/image--fail")
    await hold_everything(database, poor)

    for route in routes:
        response = await route.ask(anyone, poor.ids, headers=poor.organization.headers)

        is_refused = response.status_code == 402
        assert is_refused == (route.billing == "metered"), str(route)
        assert not is_refused or response.json()["error"]["code"] == "insufficient_credits", str(route)
    assert await faults_of(database, poor.organization) == []


async def hold_everything(database: Database, tenant: Tenant) -> None:
    """Hold all of the organization's credits, so that none are available."""
    balance = await factories.balance_of(database, tenant.organization)
    async with database.transaction() as tx:
        await credits.hold(
            tx,
            Attribution(organization_id=tenant.organization.id),
            reference=f"everything:{tenant.organization.id}",
            amount=balance.available,
            expires_in=timedelta(hours=1),
        )
