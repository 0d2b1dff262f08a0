"""Organizations as operators see and change them."""

import asyncio
import re
import secrets
from decimal import Decimal

import httpx
import pytest

from app.core.database import Database
from tests.admin.conftest import Browser
from tests.audit.rows import Row, rows_of
from tests.conftest import Stack
from tests.factories import Organization, balance_of, make_organization

_ONCE = re.compile(r'name="once" value="([^"]+)"')


async def once_of(browser: Browser, organization: Organization) -> str:
    """What the page gives its form, so that it counts once."""
    page = await browser.get(f"/organizations/{organization.id}")
    found = _ONCE.search(page.text)
    assert found
    return found[1]


async def entries(database: Database, organization: Organization) -> list[tuple[str, Decimal, str, str]]:
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT kind, amount, reference, description FROM ledger_entries WHERE organization_id = $1 ORDER BY id",
            organization.id,
        )
    return [tuple(row) for row in rows]


async def newest(database: Database, organization: Organization) -> Row:
    return (await rows_of(database, organization.id))[-1]


async def test_a_grant_is_in_the_ledger_once_however_often_its_form_is_sent(
    operator_browser: Browser, database: Database, organization: Organization
) -> None:
    once = await once_of(operator_browser, organization)
    form = {"kind": "grant", "amount": "250", "reason": "Prepaid", "reference": "", "once": once}

    sent = await asyncio.gather(
        *(operator_browser.submit(f"/organizations/{organization.id}/credits", **form) for _ in range(3))
    )

    assert {response.status_code for response in sent} == {303}
    assert await entries(database, organization) == [
        ("grant", Decimal(100), f"test:{organization.id}", ""),
        ("grant", Decimal(250), f"grant:{once}", "Prepaid"),
    ]
    assert (await balance_of(database, organization)).balance == 350
    row = await newest(database, organization)
    assert (row.event, row.actor) == ("credits_granted", ("user", operator_browser.user_id))
    assert row.source == "127.0.0.1"
    assert row.request_id in {response.headers["x-request-id"] for response in sent}
    assert len([each for each in await rows_of(database, organization.id) if each.event == "credits_granted"]) == 2
    page = (await operator_browser.get(f"/organizations/{organization.id}")).text
    assert "Prepaid" in page
    assert operator_browser.email in page


async def test_a_reference_is_taken_once_and_never_for_another_amount(
    operator_browser: Browser, database: Database, organization: Organization
) -> None:
    reference = f"INV-{organization.id}"
    path = f"/organizations/{organization.id}/credits"
    form = {"kind": "grant", "reason": "Paid", "reference": reference}

    first = await operator_browser.submit(path, **form, amount="5", once=await once_of(operator_browser, organization))
    again = await operator_browser.submit(path, **form, amount="5", once=await once_of(operator_browser, organization))
    other = await operator_browser.submit(path, **form, amount="6", once=await once_of(operator_browser, organization))

    assert [first.status_code, again.status_code, other.status_code] == [303, 303, 422]
    assert "already the reference of another entry" in other.text
    assert f'value="{reference}"' in other.text
    assert [entry[2] for entry in await entries(database, organization)][1:] == [reference]


async def test_an_adjustment_takes_what_is_available_at_most(
    operator_browser: Browser, database: Database, organization: Organization
) -> None:
    path = f"/organizations/{organization.id}/credits"

    async def adjust(amount: str) -> httpx.Response:
        once = await once_of(operator_browser, organization)
        return await operator_browser.submit(
            path, kind="adjust", amount=amount, reason="Twice", reference="", once=once
        )

    taken = await adjust("\N{MINUS SIGN}99.5")
    refused = await adjust("-1")

    assert taken.status_code == 303
    assert (await balance_of(database, organization)).balance == Decimal("0.5")
    assert refused.status_code == 422
    assert "Only 0.500000 credits are available" in refused.text
    assert (await newest(database, organization)).event == "credits_adjusted"


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("amount", "0", "Enter an amount other than 0."),
        ("amount", "-5", "Enter a number from 0"),
        ("amount", "1.0000001", "At most 6 decimals"),
        ("amount", "plenty", "Enter a number from 0"),
        ("reason", "  ", "Say why."),
        ("reference", "monthly:1", "server&#39;s own references"),
        ("kind", "gift", "Choose one of"),
        ("once", "", "The form has lost a part"),
    ],
)
async def test_a_refused_grant_keeps_what_was_typed_and_gives_nothing(
    operator_browser: Browser,
    database: Database,
    organization: Organization,
    field: str,
    value: str,
    sentence: str,
) -> None:
    once = await once_of(operator_browser, organization)
    form = {"kind": "grant", "amount": "12.5", "reason": "Because", "reference": "R-1", "once": once, field: value}

    refused = await operator_browser.submit(f"/organizations/{organization.id}/credits", **form)

    assert refused.status_code == 422
    assert sentence in refused.text
    for name in ("amount", "reason", "reference"):
        assert f'value="{form[name]}"' in refused.text
    assert len(await entries(database, organization)) == 1


async def test_a_refused_form_shows_the_balance_that_it_would_lead_to(
    operator_browser: Browser, organization: Organization
) -> None:
    once = await once_of(operator_browser, organization)

    refused = await operator_browser.submit(
        f"/organizations/{organization.id}/credits", kind="grant", amount="12.5", reason="", reference="", once=once
    )

    assert "112.5<i>00000</i></span>." in refused.text


async def test_the_plan_changes_at_once(
    operator_browser: Browser, database: Database, organization: Organization
) -> None:
    changed = await operator_browser.submit(f"/organizations/{organization.id}/plan", plan="basic")
    refused = await operator_browser.submit(f"/organizations/{organization.id}/plan", plan="platinum")

    assert (changed.status_code, refused.status_code) == (303, 422)
    row = await newest(database, organization)
    assert row.event == "plan_changed"
    assert (row.before or {})["plan"] == "roomy"
    assert (row.after or {})["plan"] == "basic"


async def test_a_subscription_ends_only_by_its_name_and_its_keys_with_it(
    operator_browser: Browser, database: Database, organization: Organization, stack: Stack
) -> None:
    path = f"/organizations/{organization.id}/subscription"

    async def ask() -> int:
        async with httpx.AsyncClient(base_url=stack.base_url, headers=organization.headers) as client:
            return (await client.get("/v1/models")).status_code

    wrong = await operator_browser.submit(path, status="inactive", name="something else")
    assert await ask() == 200
    ended = await operator_browser.submit(path, status="inactive", name=organization.name)
    refused = await ask()
    begun = await operator_browser.submit(path, status="active")

    assert (wrong.status_code, ended.status_code, begun.status_code) == (422, 303, 303)
    assert f"Type {organization.name} as it is written here." in wrong.text
    assert refused == 403
    assert [row.event for row in await rows_of(database, organization.id)][-2:] == [
        "subscription_inactive",
        "subscription_active",
    ]


async def test_who_needs_a_look_comes_first_and_is_found(operator_browser: Browser, database: Database) -> None:
    mark = secrets.token_hex(6)
    states = {"fine": 100, "empty": 0, "ended": 100}
    ids = {}
    for state, credit in states.items():
        made = await make_organization(database, credit=str(credit))
        ids[state] = made.id
        async with database.transaction() as tx:
            await tx.execute("UPDATE organizations SET name = $2 WHERE id = $1", made.id, f"{mark} {state}")
            if state == "ended":
                await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", made.id)

    async def found(**query: str) -> list[str]:
        page = (await operator_browser.get("/organizations", params=query)).text
        return re.findall(r'<small class="id">([^<]+)</small>', page)

    assert await found(q=mark) == [ids["empty"], ids["ended"], ids["fine"]]
    assert await found(q=ids["fine"]) == [ids["fine"]]
    assert await found(q=mark, state="off") == [ids["ended"]]
    assert await found(q=mark, plan="basic") == []
    assert await found(q=f"{mark}%") == []


async def test_an_organization_is_created_and_its_owner_gets_a_link_once(
    operator_browser: Browser, anonymous_browser: Browser, database: Database
) -> None:
    name = f"Harbor {secrets.token_hex(4)}"
    form = {"name": name, "plan": "basic", "owner_email": f"{name[7:]}@harbor.example"}

    made = await operator_browser.submit("/organizations/new", **form)
    again = await operator_browser.submit("/organizations/new", **form)

    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    (token,) = re.findall(r"/admin/first-steps/([\w-]+)", made.text)
    assert again.status_code == 422
    assert "There is an organization of this name already." in again.text
    async with database.transaction() as tx:
        organization_id = await tx.fetchval("SELECT id FROM organizations WHERE name = $1", name)
        logged = await tx.fetch("SELECT before::text, after::text FROM audit_events")
    events = [row.event for row in await rows_of(database, organization_id)]
    assert events[0] == "organization_created"
    assert token not in str(logged)


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "Enter name."),
        ("name", "x" * 65, "At most 64 are allowed."),
        ("owner_email", "nobody", "Not an email address"),
        ("plan", "platinum", "Choose one of"),
    ],
)
async def test_a_refused_organization_keeps_what_was_typed(
    operator_browser: Browser, field: str, value: str, sentence: str
) -> None:
    form = {"name": f"New {secrets.token_hex(4)}", "plan": "pro", "owner_email": "new@new.example", field: value}

    refused = await operator_browser.submit("/organizations/new", **form)

    assert refused.status_code == 422
    assert sentence in refused.text
    assert f'value="{form["owner_email"]}"' in refused.text


async def test_an_operator_acts_in_an_organization_as_its_admin(operator_browser: Browser, database: Database) -> None:
    other = await make_organization(database)

    opened = await operator_browser.submit(f"/organizations/{other.id}/open")

    assert opened.status_code == 303
    assert other.name in (await operator_browser.get("/")).text
    row = await newest(database, other)
    assert (row.event, row.object_id) == ("member_added", operator_browser.user_id)
    assert (row.after or {})["role"] == "admin"
