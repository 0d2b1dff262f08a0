"""Admin > API Keys: one key's page, and changing, rotating and revoking it."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.api_keys import service as api_keys
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from app.organizations import service as organizations
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.key_forms import SECRET, TICKED, add_key, created_in, words_of
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import until

LONG = "k" * 64


async def answered(stack: Stack, secret: str) -> int:
    """With which status the API answers a call with the key."""
    async with httpx.AsyncClient(base_url=stack.base_url, headers={"X-API-Key": secret}) as client:
        return (await client.get("/agents")).status_code


async def key_of(database: Database, organization: Organization, key_id: str) -> Any:
    async with database.transaction() as tx:
        return await api_keys.get_key(tx, organization.id, key_id)


async def test_limits_are_changed_in_place(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization, requests_per_hour=50)

    sent = await owner_browser.submit(f"/keys/{row.id}", rpm="5", rph="")

    assert (sent.status_code, sent.headers["location"]) == (303, f"/admin/keys/{row.id}")
    key = await key_of(database, organization, row.id)
    assert (key.requests_per_minute, key.requests_per_hour) == (5, None)
    assert "The limits of backend are saved." in words_of(await owner_browser.get(f"/keys/{row.id}"))


async def test_credits_of_a_month_are_limited_in_place(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization)

    refused = await owner_browser.submit(f"/keys/{row.id}", rpm="", rph="", cap="0")
    sent = await owner_browser.submit(f"/keys/{row.id}", rpm="", rph="", cap="1,250.5")

    assert (refused.status_code, sent.status_code) == (422, 303)
    assert (await key_of(database, organization, row.id)).monthly_credits == Decimal("1250.5")
    async with database.transaction() as tx:
        await tx.execute("UPDATE key_spend SET held = 0.5, spent = 250 WHERE api_key_id = $1", row.id)
    page = await owner_browser.get(f"/keys/{row.id}")
    words = words_of(page).replace(" ", "")
    assert "Spentthismonth250.000000Held0.500000Leftof1,250.5000001,000.000000" in words
    assert "20% of this month" in page.text
    await owner_browser.submit(f"/keys/{row.id}", rpm="", rph="", cap="")
    assert (await key_of(database, organization, row.id)).monthly_credits is None


async def test_a_limit_holds_at_once(owner_browser: Browser, stack: Stack) -> None:
    key_id, secret = await created_in(owner_browser)
    assert await answered(stack, secret) == 200

    await owner_browser.submit(f"/keys/{key_id}", rpm="1", rph="")

    async def is_limited() -> bool:
        return await answered(stack, secret) == 429

    await until(is_limited)


async def test_a_limit_above_the_plans_changes_nothing(browser_of: BrowserOf, database: Database) -> None:
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name="small",
            requests_per_minute=10,
            concurrent_requests=2,
            concurrent_generations=1,
            actor=COMMAND_LINE,
        )
    organization = await factories.make_organization(database, plan="small")
    browser = await browser_of("owner", organization)
    row = await add_key(database, organization, requests_per_minute=3)

    page = await browser.submit(f"/keys/{row.id}", rpm="11", rph="7")

    assert page.status_code == 422
    assert "Your plan allows 10. Enter 1 to 10." in words_of(page)
    assert re.search(r'name="rpm"[^>]* value="11"', page.text)
    assert re.search(r'name="rph"[^>]* value="7"', page.text)
    assert (await key_of(database, organization, row.id)).requests_per_minute == 3


async def test_scopes_and_name_are_changed_together(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization, expires_at=now() + timedelta(days=3))
    page = await owner_browser.get(f"/keys/{row.id}/edit")
    assert TICKED.findall(page.text) == row.scopes

    sent = await owner_browser.submit(
        f"/keys/{row.id}/edit", name="shop", description="Of the shop", scope=["content:read"], expires="kept"
    )

    assert sent.status_code == 303
    key = await key_of(database, organization, row.id)
    assert (key.name, key.description, key.scopes) == ("shop", "Of the shop", ["content:read"])
    assert key.expires_at == row.expires_at


async def test_an_expiry_can_be_taken_away(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization, expires_at=now() + timedelta(days=3))

    await owner_browser.submit(f"/keys/{row.id}/edit", name="backend", scope=row.scopes, expires="never")

    assert (await key_of(database, organization, row.id)).expires_at is None


async def test_a_refused_change_keeps_what_was_typed(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization)

    page = await owner_browser.submit(
        f"/keys/{row.id}/edit", name="", description="typed", scope=["content:retry"], expires="kept"
    )

    assert page.status_code == 422
    assert TICKED.findall(page.text) == ["content:retry"]
    assert 'value="typed"' in page.text
    assert (await key_of(database, organization, row.id)).scopes == row.scopes


async def test_rotating_shows_another_key_and_leaves_the_old_one_for_a_while(
    owner_browser: Browser, stack: Stack
) -> None:
    key_id, old = await created_in(owner_browser, name="shop", scope=["agents:list"], rpm="77")

    sent = await owner_browser.submit(f"/keys/{key_id}/rotate", overlap="24")

    shown = await owner_browser.get(sent.headers["location"].removeprefix("/admin"))
    new = SECRET.findall(shown.text)[0]
    assert new != old
    assert "77 a minute" in words_of(shown)
    assert "which works until" in words_of(shown)
    assert [await answered(stack, secret) for secret in (old, new)] == [200, 200]
    assert "Ends in 23 hours" in words_of(await owner_browser.get(f"/keys/{key_id}"))
    again = await owner_browser.get(f"/keys/{key_id}/rotate")
    assert "This key cannot be rotated" in words_of(again)


async def test_without_an_overlap_the_old_key_stops_at_once(owner_browser: Browser, stack: Stack) -> None:
    key_id, old = await created_in(owner_browser, scope=["agents:list"])
    assert await answered(stack, old) == 200

    await owner_browser.submit(f"/keys/{key_id}/rotate", overlap="0")

    async def is_refused() -> bool:
        return await answered(stack, old) == 401

    await until(is_refused)


async def test_an_overlap_that_is_not_offered_is_refused(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization)

    page = await owner_browser.submit(f"/keys/{row.id}/rotate", overlap="9999")

    assert page.status_code == 422
    assert (await key_of(database, organization, row.id)).rotated_to is None


async def test_two_rotations_of_a_key_make_one(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization)

    first = await owner_browser.submit(f"/keys/{row.id}/rotate", overlap="1")
    second = await owner_browser.submit(f"/keys/{row.id}/rotate", overlap="1")

    assert (first.status_code, second.status_code) == (303, 422)
    async with database.transaction() as tx:
        assert len(await api_keys.list_keys(tx, organization.id)) == 3


async def test_revoking_says_what_happens_and_asks_for_the_name(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization)

    page = await owner_browser.get(f"/keys/{row.id}/revoke")

    for said in (f"Calls with {row.prefix}… answer 401", "This cannot be undone", "Type backend to go on"):
        assert said in words_of(page)
    button = re.search(r"<button class=\"b bad go\"([^>]*)>", page.text)
    assert button is not None
    assert "disabled" not in button[1]


@pytest.mark.parametrize("typed", ["", "backed", "BACKEND"])
async def test_without_the_name_nothing_is_revoked(
    owner_browser: Browser, database: Database, organization: Organization, typed: str
) -> None:
    row = await add_key(database, organization)

    page = await owner_browser.submit(f"/keys/{row.id}/revoke", name=typed, reason="lost")

    assert page.status_code == 422
    assert "That is not its name. Nothing was revoked." in words_of(page)
    assert f'value="{typed}"' in page.text
    assert 'value="lost"' in page.text
    assert (await key_of(database, organization, row.id)).revoked_at is None


async def test_a_revoked_key_is_refused_at_once_and_shown_so(owner_browser: Browser, stack: Stack) -> None:
    key_id, secret = await created_in(owner_browser, scope=["agents:list"])
    assert await answered(stack, secret) == 200

    sent = await owner_browser.submit(f"/keys/{key_id}/revoke", name="backend", reason="lost")

    assert sent.status_code == 303

    async def is_refused() -> bool:
        return await answered(stack, secret) == 401

    await until(is_refused)
    assert "backend is revoked" in words_of(await owner_browser.get("/keys"))
    shown = await owner_browser.get(f"/keys/{key_id}")
    assert "Revoked" in words_of(shown)
    assert "<form" not in shown.text.partition("<main")[2]
    again = await owner_browser.submit(f"/keys/{key_id}/revoke", name="backend")
    assert again.status_code == 422
    for path in ("/edit", "/revoke"):
        assert "This key works no more" in words_of(await owner_browser.get(f"/keys/{key_id}{path}"))


async def test_forms_without_the_token_change_nothing(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization)

    for path, fields in {
        "/keys/new": {"name": "forged", "scope": "agents:list", "expires": "never"},
        f"/keys/{row.id}": {"rpm": "1", "rph": ""},
        f"/keys/{row.id}/edit": {"name": "forged", "scope": "agents:list", "expires": "never"},
        f"/keys/{row.id}/rotate": {"overlap": "0"},
        f"/keys/{row.id}/revoke": {"name": "backend"},
    }.items():
        assert (await owner_browser.post(path, data=fields)).status_code == 403
        assert (await owner_browser.post(path, data={**fields, "csrf": "forged"})).status_code == 403

    key = await key_of(database, organization, row.id)
    assert (key.name, key.requests_per_minute, key.revoked_at, key.rotated_to) == ("backend", None, None, None)


async def test_names_are_shown_as_they_are(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    row = await add_key(database, organization, name="<script>alert(1)</script>", description='"><img src=x>')

    for path in ("/keys", f"/keys/{row.id}", f"/keys/{row.id}/edit", f"/keys/{row.id}/revoke"):
        page = await owner_browser.get(path)
        assert "<script>alert" not in page.text
        assert "<img src=x" not in page.text


async def test_odd_addresses_are_not_found(owner_browser: Browser) -> None:
    for path in ("/keys/key-unknown", "/keys/%00", f"/keys/{LONG}", "/keys/created", "/keys/created?key=%00"):
        assert (await owner_browser.get(path)).status_code == 404


async def test_the_days_of_a_key_add_up(owner_browser: Browser, database: Database, organization: Organization) -> None:
    row = await add_key(database, organization)
    async with database.transaction() as tx:
        await tx.execute(
            """INSERT INTO ledger_entries
                (organization_id, kind, reference, amount, balance_after, is_estimated, description, api_key_id,
                 created_at)
            SELECT $1, 'charge', 'turn:' || $2 || n, -0.5, 100, false, '', $2,
                   ((now() AT TIME ZONE 'UTC')::date + interval '1 hour') AT TIME ZONE 'UTC' - n * interval '1 day'
            FROM generate_series(0, 34) n""",
            organization.id,
            row.id,
        )

    page = words_of(await owner_browser.get(f"/keys/{row.id}"))

    assert "Requests in 30 days 30" in page
    assert "Credits 15 .000000" in page
    assert page.count("1 request, 0 tokens, 0.500000 credits") >= 30
    assert "15 .000000" in words_of(await owner_browser.get("/keys"))
