"""A new key: what the form ticks and refuses, and the one page that shows it."""

import asyncio
import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import openai
import pytest

from app.api_keys import service as api_keys
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from app.organizations import service as organizations
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.key_forms import SECRET, TICKED, create, created_in, words_of
from tests.conftest import Stack
from tests.factories import Organization


async def test_the_form_ticks_the_default_scopes_and_no_other(owner_browser: Browser) -> None:
    page = await owner_browser.get("/keys/new")

    assert page.status_code == 200
    assert TICKED.findall(page.text) == list(DEFAULT_SCOPES)
    assert all(f'value="{scope}"' in page.text for scope in ALL_SCOPES)


async def test_a_key_is_shown_once_and_works(owner_browser: Browser, stack: Stack) -> None:
    sent = await create(owner_browser, name="shop", scope=["orchestrator:invoke", "content:read"])

    assert sent.status_code == 303
    address = sent.headers["location"].removeprefix("/admin")
    assert not SECRET.search(str(sent.headers))
    first = await owner_browser.get(address)
    assert first.status_code == 200
    assert first.headers["cache-control"] == "no-store"
    secret = SECRET.findall(first.text)[0]
    async with openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=secret) as client:
        answer = await client.chat.completions.create(
            model="junis-orchestrator", messages=[{"role": "user", "content": "hello"}]
        )
    assert answer.choices[0].message.content

    second = await owner_browser.get(address)
    assert second.status_code == 410
    assert not SECRET.search(second.text)
    assert "cannot be shown again" in words_of(second)
    assert f'{address.partition("key=")[2]}/rotate"' in second.text


async def test_the_cookie_is_for_one_page_and_no_script(owner_browser: Browser) -> None:
    sent = await create(owner_browser)

    cookie = next(line for line in sent.headers.get_list("set-cookie") if line.startswith("junis_new_"))
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/admin/keys/created", "Max-Age=60"):
        assert attribute in cookie


async def test_the_key_cannot_be_shown_without_the_cookie(owner_browser: Browser) -> None:
    sent = await create(owner_browser)
    address = sent.headers["location"].removeprefix("/admin")
    token = next(name for name in owner_browser.cookies if name.startswith("junis_new_"))
    kept = owner_browser.cookies.get(token, path="/admin/keys/created")
    owner_browser.cookies.delete(token)

    without = await owner_browser.get(address)

    assert without.status_code == 410
    assert kept is not None
    owner_browser.cookies.set(token, kept, path="/admin/keys/created")
    assert SECRET.search((await owner_browser.get(address)).text)


async def test_after_a_minute_it_cannot_be_shown(owner_browser: Browser, database: Database) -> None:
    sent = await create(owner_browser)
    address = sent.headers["location"].removeprefix("/admin")
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE unshown_api_keys SET expires_at = expires_at - interval '60 seconds' WHERE api_key_id = $1",
            address.partition("key=")[2],
        )

    page = await owner_browser.get(address)

    assert page.status_code == 410


async def test_two_tabs_create_keys_at_once(owner_browser: Browser, stack: Stack) -> None:
    sent = await asyncio.gather(create(owner_browser, name="left"), create(owner_browser, name="right"))

    pages = [await owner_browser.get(each.headers["location"].removeprefix("/admin")) for each in sent]

    secrets = [SECRET.findall(page.text)[0] for page in pages]
    assert len(set(secrets)) == 2
    for name, page in zip(("left", "right"), pages, strict=True):
        assert f"<h1>{name}" in page.text
    async with httpx.AsyncClient(base_url=stack.base_url) as client:
        for secret in secrets:
            assert (await client.get("/agents", headers={"X-API-Key": secret})).status_code == 200


async def test_the_curl_line_is_of_this_server(owner_browser: Browser, stack: Stack) -> None:
    sent = await create(owner_browser)

    shown = await owner_browser.get(sent.headers["location"].removeprefix("/admin"))

    assert f"curl {stack.url}/api/external/v1/chat/completions" in words_of(shown)


async def test_a_key_that_may_not_chat_is_tried_with_what_it_may(owner_browser: Browser, stack: Stack) -> None:
    sent = await create(owner_browser, scope=["content:read"])

    shown = await owner_browser.get(sent.headers["location"].removeprefix("/admin"))

    assert f"curl {stack.url}/api/external/v1/models" in words_of(shown)
    async with openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=SECRET.findall(shown.text)[0]) as client:
        assert "junis-orchestrator" in {model.id async for model in client.models.list()}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"name": ""}, "Enter a name."),
        ({"name": "n" * 65}, "At most 64 are allowed."),
        ({"description": "d" * 301}, "At most 300 are allowed."),
        ({"scope": []}, "Tick at least one scope."),
        ({"scope": ["content:everything"]}, "Unknown scope"),
        ({"rpm": "1001"}, "A limit of its own is 1,000 at most. Enter 1 to 1,000."),
        ({"rpm": "many"}, "Enter a whole number from 1 to 1,000."),
        ({"rph": "0"}, "Enter a whole number from 1 to 100,000."),
        ({"expires": "day", "expires_on": ""}, "Enter a day"),
        ({"expires": "day", "expires_on": "2020-01-01"}, "Enter a day from today"),
        ({"expires": "day", "expires_on": "9999-12-31"}, "Enter a day from today"),
        ({"expires": "soon"}, "Choose one of"),
    ],
    ids=["no-name", "long", "told", "no-scope", "scope", "minute", "word", "zero", "no-day", "past", "far", "choice"],
)
async def test_what_is_refused_keeps_what_was_typed(
    owner_browser: Browser, database: Database, organization: Organization, fields: dict[str, Any], sentence: str
) -> None:
    typed = {"name": "kept <b>", "description": "of the shop", "scope": ["content:read"], **fields}

    page = await create(owner_browser, **typed)

    assert page.status_code == 422
    assert sentence in words_of(page)
    assert TICKED.findall(page.text) == [scope for scope in typed["scope"] if scope in ALL_SCOPES]
    for name in ("name", "description", "rpm", "rph", "expires_on"):
        shown = re.search(rf'name="{name}"[^>]* value="([^"]*)"', page.text)
        assert shown is not None
        assert unescape(shown[1]) == typed.get(name, "")
    async with database.transaction() as tx:
        assert len(await api_keys.list_keys(tx, organization.id)) == 1


async def test_a_limit_above_the_plans_is_refused_in_words(browser_of: BrowserOf, database: Database) -> None:
    async with database.transaction() as tx:
        await organizations.set_plan(
            tx,
            name="narrow",
            requests_per_minute=300,
            concurrent_requests=20,
            concurrent_generations=5,
            actor=COMMAND_LINE,
        )
    browser = await browser_of("owner", await factories.make_organization(database, plan="narrow"))

    page = await create(browser, rpm="600", rph="20000")

    assert page.status_code == 422
    assert "Your plan allows 300. Enter 1 to 300." in words_of(page)
    assert "Your plan allows 300 a minute, which is 18,000 an hour. Enter 1 to 18,000." in words_of(page)
    assert "Plan narrow, all keys together Requests a minute 300" in words_of(page)


async def test_a_key_works_until_the_end_of_the_chosen_day(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    day = (now() + timedelta(days=10)).date()

    key_id, _ = await created_in(owner_browser, expires="day", expires_on=day.isoformat())

    async with database.transaction() as tx:
        key = await api_keys.get_key(tx, organization.id, key_id)
    assert key.expires_at is not None
    assert (key.expires_at - timedelta(microseconds=1)).date() == day


async def test_nobody_is_shown_a_key_that_somebody_else_has_created(
    owner_browser: Browser, browser_of: BrowserOf
) -> None:
    sent = await create(owner_browser)
    address = sent.headers["location"].removeprefix("/admin")
    name = next(name for name in owner_browser.cookies if name.startswith("junis_new_"))
    admin = await browser_of("admin")
    admin.cookies.set(name, owner_browser.cookies.get(name) or "", path="/admin/keys/created")

    page = await admin.get(address)

    assert page.status_code == 410
    assert not SECRET.search(page.text)


async def test_the_secret_is_in_no_log_and_no_row(
    owner_browser: Browser, stack: Stack, database: Database, run_folder: Any
) -> None:
    key_id, secret = await created_in(owner_browser, name="secret one")
    await owner_browser.get(f"/keys/created?key={key_id}")

    logs = [path.read_text(errors="replace") for path in run_folder.glob("*.log")]

    assert any("key_created" in log for log in logs)
    assert not any(secret in log or secret[13:] in log for log in logs)
    async with database.transaction() as tx:
        tables = await tx.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        for table in tables:
            found = await tx.fetchval(
                f'SELECT count(*) FROM "{table["tablename"]}" t WHERE strpos(t::text, $1) > 0', secret
            )
            assert found == 0, table["tablename"]
