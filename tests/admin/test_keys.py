"""Admin > API Keys: the list, and creating a key that is shown once."""

import asyncio
import re
from datetime import timedelta
from html import unescape
from typing import Any

import httpx
import openai
import pytest

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from app.organizations import service as organizations
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import until

SECRET = re.compile(r"jns_live_[A-Za-z0-9]{32}")
TICKED = re.compile(r'name="scope" value="([^"]+)" checked')


def words_of(page: httpx.Response) -> str:
    """The words of a page, without its tags."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", page.text)))


async def add_key(
    database: Database, organization: Organization, *, user_id: str | None = None, **properties: Any
) -> Any:
    """A key of the organization, of its owner by default; returns its row."""
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(**{"name": "backend", **properties}),
            organization_id=organization.id,
            user_id=user_id or organization.user_id,
            actor=COMMAND_LINE,
        )
    return new.row


def form(**fields: Any) -> dict[str, Any]:
    return {"name": "backend", "scope": [*DEFAULT_SCOPES], "expires": "never", **fields}


async def create(browser: Browser, **fields: Any) -> httpx.Response:
    """Send the form of a new key."""
    return await browser.submit("/keys/new", **form(**fields))


async def created_in(browser: Browser, **fields: Any) -> tuple[str, str]:
    """Create a key in the page; returns its id and the key itself."""
    sent = await create(browser, **fields)
    assert sent.status_code == 303, words_of(sent)
    address = sent.headers["location"].removeprefix("/admin")
    shown = await browser.get(address)
    found = SECRET.search(shown.text)
    assert found, words_of(shown)
    return address.partition("key=")[2], found[0]


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


async def test_the_list_shows_a_new_key(owner_browser: Browser) -> None:
    key_id, secret = await created_in(owner_browser, name="shop", rpm="60", rph="2,000", expires="30")

    page = await owner_browser.get("/keys")

    words = words_of(page)
    for shown in ("shop", secret[:13], owner_browser.email, "4 defaults", "60 a minute", "2,000 an hour", "Never used"):
        assert shown in words
    assert secret not in page.text
    assert f'href="/admin/keys/{key_id}"' in page.text


async def test_a_used_key_shows_when_and_what_it_has_spent(owner_browser: Browser, stack: Stack) -> None:
    key_id, secret = await created_in(owner_browser, name="spender")
    async with openai.AsyncOpenAI(base_url=f"{stack.base_url}/v1", api_key=secret) as client:
        await client.chat.completions.create(model="junis-orchestrator", messages=[{"role": "user", "content": "hi"}])

    async def is_noted() -> bool:
        return "Never used" not in words_of(await owner_browser.get(f"/keys/{key_id}"))

    await until(is_noted)
    words = words_of(await owner_browser.get(f"/keys/{key_id}"))
    assert "Active" in words
    assert "1 request," in words
    spent = re.search(r"Credits (\d+\.\d+ ?\d*)", words)
    assert spent is not None
    assert float(spent[1].replace(" ", "")) > 0


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


async def test_the_list_can_be_filtered(owner_browser: Browser, database: Database, organization: Organization) -> None:
    gone = await add_key(database, organization, name="gone")
    over = await add_key(database, organization, name="over", expires_at=now() + timedelta(days=1))
    async with database.transaction() as tx:
        await api_keys.revoke_key(tx, organization.id, gone.id, actor=COMMAND_LINE)
        await tx.execute("UPDATE api_keys SET expires_at = now() - interval '1 second' WHERE id = $1", over.id)

    async def names(query: str) -> list[str]:
        page = await owner_browser.get(f"/keys{query}")
        return re.findall(r'class="hit"[^>]*>([^<]+)<', page.text)

    assert await names("") == ["test"]
    assert await names("?state=all") == ["over", "gone", "test"]
    assert await names("?state=revoked") == ["gone"]
    assert await names("?state=expired") == ["over"]
    assert await names("?state=all&q=OVE") == ["over"]
    assert await names(f"?state=all&q={gone.prefix}") == ["gone"]
    assert await names("?q=%25") == []
    assert await names("?state=all&maker=me") == ["over", "gone", "test"]
    assert "Show all keys" in words_of(await owner_browser.get("/keys?q=nothing-like-this"))


async def test_a_key_that_is_looked_for_stays_in_no_address(owner_browser: Browser) -> None:
    _, secret = await created_in(owner_browser, name="lost and found")

    response = await owner_browser.get("/keys", params={"q": f" {secret} "})

    assert response.status_code == 303
    assert secret not in response.headers["location"]
    assert "lost and found" in words_of(await owner_browser.get(response.headers["location"].removeprefix("/admin")))


async def test_thousands_of_keys_are_listed_page_by_page(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            """INSERT INTO api_keys (id, organization_id, user_id, name, prefix, key_hash, scopes, created_at)
            SELECT 'key-' || $1 || n, $1, $2, 'bulk ' || n, 'jns_live_bulk', sha256(convert_to($1 || n, 'UTF8')),
                   '{agents:list}', now() - n / 10 * interval '1 second' FROM generate_series(1, 5000) n""",
            organization.id,
            organization.user_id,
        )
    seen: list[str] = []
    address: str | None = "/keys?q=bulk"
    for _ in range(3):
        assert address is not None
        page = await owner_browser.get(address)
        seen += re.findall(r'class="hit" href="([^"]+)"', page.text)
        following = re.search(r'href="/admin([^"]+)" rel="next"', page.text)
        address = unescape(following[1]) if following else None
    assert len(seen) == len(set(seen)) == 150
    assert len(page.content) < 100_000
    assert (await owner_browser.get("/keys?cursor=nonsense")).status_code == 200


async def test_viewers_look_and_change_nothing(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    key = await add_key(database, organization, name="seen")
    browser = await browser_of("viewer")

    listed, shown = await browser.get("/keys"), await browser.get(f"/keys/{key.id}")

    assert "seen" in words_of(listed)
    assert "Create API Key" not in words_of(listed)
    assert shown.status_code == 200
    assert "<form" not in shown.text.partition("<main")[2]
    for path in ("/keys/new", f"/keys/{key.id}/edit", f"/keys/{key.id}/rotate", f"/keys/{key.id}/revoke"):
        assert (await browser.get(path)).status_code == 403
        assert (await browser.submit(path, **form(), overlap="0")).status_code == 403
    assert (await browser.submit(f"/keys/{key.id}", rpm="1", rph="")).status_code == 403
    assert (await browser.get(f"/keys/created?key={key.id}")).status_code == 403


async def test_members_see_and_change_their_own_keys(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    browser = await browser_of("member")
    owners = await add_key(database, organization, name="of the owner")
    key_id, _ = await created_in(browser, name="of the member")

    listed = words_of(await browser.get("/keys?state=all"))

    assert "of the member" in listed
    assert "of the owner" not in listed
    assert (await browser.get(f"/keys/{key_id}")).status_code == 200
    for path in ("", "/edit", "/rotate", "/revoke"):
        assert (await browser.get(f"/keys/{owners.id}{path}")).status_code == 404
        sent = await browser.submit(f"/keys/{owners.id}{path}", **form(name="of the owner"), overlap="0")
        assert sent.status_code == 404
    assert (await browser.submit(f"/keys/{key_id}/revoke", name="of the member")).status_code == 303


async def test_admins_manage_the_keys_of_members(
    browser_of: BrowserOf, database: Database, organization: Organization
) -> None:
    member = await browser_of("member")
    key = await add_key(database, organization, name="of the member", user_id=member.user_id)
    admin = await browser_of("admin")

    assert "of the member" in words_of(await admin.get("/keys"))
    assert (await admin.submit(f"/keys/{key.id}/revoke", name="of the member")).status_code == 303


async def test_keys_of_another_organization_are_not_found(owner_browser: Browser, database: Database) -> None:
    key = await add_key(database, await factories.make_organization(database))

    for path in ("", "/edit", "/rotate", "/revoke"):
        assert (await owner_browser.get(f"/keys/{key.id}{path}")).status_code == 404
    assert (await owner_browser.get(f"/keys/created?key={key.id}")).status_code == 404


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


async def test_who_is_not_signed_in_is_led_to_the_door(anonymous_browser: Browser) -> None:
    for path in ("/keys", "/keys/new", "/keys/created?key=key-1", "/keys/key-1"):
        page = await anonymous_browser.get(path)
        assert page.status_code == 303
        assert page.headers["location"].startswith("/admin/sign-in")


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
