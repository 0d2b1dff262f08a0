"""Plans as operators see and change them."""

import secrets
from decimal import Decimal

import httpx
import pytest

from app.core.database import Database
from app.organizations.models import Plan
from tests.admin.conftest import Browser
from tests.audit.rows import rows_of
from tests.conftest import Stack
from tests.factories import Organization, make_key, make_organization

LIMITS = {"requests_per_minute": "300", "concurrent_requests": "20", "concurrent_generations": "40"}


@pytest.fixture
async def plan(operator_browser: Browser) -> str:
    """The name of a new plan, which the test has to itself."""
    name = f"plan-{secrets.token_hex(5)}"
    added = await operator_browser.submit("/plans/new", name=name, monthly_credits="50", **LIMITS)
    assert added.status_code == 303
    return name


async def stored(database: Database, name: str) -> Plan:
    async with database.transaction() as tx:
        found = await tx.session.get_one(Plan, name)
        tx.session.expunge(found)
        return found


async def test_a_plan_is_added_and_listed(operator_browser: Browser, database: Database, plan: str) -> None:
    added = await stored(database, plan)

    assert (added.requests_per_minute, added.concurrent_requests, added.concurrent_generations) == (300, 20, 40)
    assert added.monthly_credits == 50
    assert f"<h2>Edit {plan}</h2>" in (await operator_browser.get(f"/plans/{plan}")).text
    assert plan in (await operator_browser.get("/plans")).text
    assert (await operator_browser.get("/plans/of-nobody")).status_code == 404
    (row,) = await rows_of(database, plan)
    assert (row.event, row.actor) == ("plan_set", ("user", operator_browser.user_id))


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Enter name."),
        ("name", "new", "already"),
        ("name", "basic", "already"),
        ("name", "a/b", "Use letters"),
        ("requests_per_minute", "0", "from 1 to 2,147,483,647"),
        ("concurrent_requests", "many", "from 1 to 2,147,483,647"),
        ("monthly_credits", "-1", "from 0"),
        ("monthly_credits", "0.0000001", "At most 6 decimals"),
    ],
)
async def test_a_refused_plan_keeps_what_was_typed(
    operator_browser: Browser, field: str, value: str, sentence: str
) -> None:
    form = {"name": f"plan-{secrets.token_hex(5)}", "monthly_credits": "50", **LIMITS, field: value}

    refused = await operator_browser.submit("/plans/new", **form)

    assert refused.status_code == 422
    assert sentence in refused.text
    assert 'value="20"' in refused.text or field == "concurrent_requests"


async def test_keys_that_a_lower_limit_cuts_down_are_shown_before_it_is_saved(
    operator_browser: Browser, database: Database, plan: str, stack: Stack
) -> None:
    organization: Organization = await make_organization(database, plan=plan)
    key = await make_key(database, organization, "agents:list", requests_per_minute=250)
    form = {**LIMITS, "requests_per_minute": "240", "monthly_credits": "50"}

    async def limit() -> str:
        async with httpx.AsyncClient(base_url=stack.base_url, headers={"X-API-Key": key}) as client:
            return (await client.get("/v1/models")).headers["x-ratelimit-limit"]

    assert await limit() == "300"
    shown = await operator_browser.submit(f"/plans/{plan}", **form)
    assert shown.status_code == 422
    assert "1 key has more." in shown.text
    assert "250 a minute" in shown.text
    assert organization.name in shown.text
    assert (await stored(database, plan)).requests_per_minute == 300

    saved = await operator_browser.submit(f"/plans/{plan}", **form, cut="yes")

    assert saved.status_code == 303
    assert (await stored(database, plan)).requests_per_minute == 240
    assert await limit() == "240"
    page = (await operator_browser.get(f"/plans/{plan}")).text
    assert "this key has more" in page
    row = (await rows_of(database, plan))[-1]
    assert ((row.before or {})["requests_per_minute"], (row.after or {})["requests_per_minute"]) == (300, 240)


async def test_a_lower_limit_that_cuts_no_key_down_is_saved_at_once(
    operator_browser: Browser, database: Database, plan: str
) -> None:
    saved = await operator_browser.submit(
        f"/plans/{plan}", **{**LIMITS, "requests_per_minute": "10"}, monthly_credits="12.5"
    )

    assert saved.status_code == 303
    assert (await stored(database, plan)).monthly_credits == Decimal("12.5")
