"""Admin > API Keys: the list, and who sees and changes whose keys."""

import re
from datetime import timedelta
from html import unescape

import openai

from app.api_keys import service as api_keys
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.key_forms import add_key, created_in, form, words_of
from tests.conftest import Stack
from tests.credits.spending import Call, Origin, add_charge
from tests.factories import Organization
from tests.waiting import until


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
    assert "Requests in 30 days 1 " in words
    spent = re.search(r"Credits (\d+\.\d+ ?\d*)", words)
    assert spent is not None
    assert float(spent[1].replace(" ", "")) > 0


async def test_few_days_of_use_are_rows_and_more_of_them_a_chart(
    owner_browser: Browser, database: Database, organization: Organization
) -> None:
    key = await add_key(database, organization, name="seldom")
    origin = Origin(organization_id=organization.id, user_id=organization.user_id, api_key_id=key.id)
    pages = []
    for day in range(4):
        async with database.transaction() as tx:
            await add_charge(tx, origin, now() - timedelta(days=2 * day), [Call("0.25")])
        pages.append((await owner_browser.get(f"/keys/{key.id}")).text)

    days_linked = [len(set(re.findall(r"first=([-\d]+)", page))) for page in pages]
    assert days_linked == [1, 2, 3, 30]
    assert ['<svg class="chart"' in page for page in pages] == [False, False, False, True]
    assert "Nothing was used on the other 27 days." in pages[2]


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


async def test_who_is_not_signed_in_is_led_to_the_door(anonymous_browser: Browser) -> None:
    for path in ("/keys", "/keys/new", "/keys/created?key=key-1", "/keys/key-1"):
        page = await anonymous_browser.get(path)
        assert page.status_code == 303
        assert page.headers["location"].startswith("/admin/sign-in")
