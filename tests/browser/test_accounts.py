"""Signing in, joining and being kept out, as a browser does it."""

import httpx
from playwright.async_api import Browser, Page, expect

from app.admin.sign_in.cookies import SESSION_COOKIE
from app.core.database import Database
from app.organizations import service as organizations
from tests.browser.signing_in import cookies_of
from tests.browser.world import World
from tests.signed_in import PASSWORD

_FORGED = """<form method="post" action="{url}/admin/account/name"><input name="name" value="Eve">
<input name="csrf" value="guessed"><button>Win a picture</button></form>"""


async def sign_in(page: Page, email: str) -> None:
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").click()


async def test_without_scripts_a_reader_signs_in_where_they_wanted_to_and_out_for_good(
    browser: Browser, world: World
) -> None:
    context = await browser.new_context(base_url=world.stack.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto("/admin/members")
    await sign_in(page, world.emails["owner"])
    reached = page.url
    stolen = next(cookie for cookie in await context.cookies() if cookie.get("name") == SESSION_COOKIE)

    await page.goto("/admin/account")
    await page.get_by_role("button", name="Sign out", exact=True).click()

    async with httpx.AsyncClient(base_url=world.stack.url) as thief:
        opened = await thief.get("/admin/account", headers={"Cookie": f"{SESSION_COOKIE}={stolen.get('value')}"})
    await page.goto("/admin/members")
    assert reached == f"{world.stack.url}/admin/members"
    assert opened.status_code == 303
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    await context.close()


async def test_somebody_joins_by_the_link_that_is_shown_once(page: Page, browser: Browser, world: World) -> None:
    email = f"mina-{world.organization.id}@example.com"
    await page.goto("/admin/members")
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_role("radio", name="Viewer").check()
    await page.get_by_role("button", name="Make invitation link").click()
    link = await page.locator("#inv").inner_text()
    await page.reload()
    is_gone = await page.locator("#inv").count() == 0

    context = await browser.new_context()
    door = await context.new_page()
    await door.goto(link)
    await door.get_by_label("Name").fill("Mina Kim")
    await door.get_by_label("New password", exact=True).fill(PASSWORD)
    await door.get_by_label("New password again").fill(PASSWORD)
    await door.get_by_role("button", name="Join").click()
    await door.goto(f"{world.stack.url}/admin/members")

    await page.reload()
    assert is_gone
    await expect(door.get_by_text("Mina Kim")).to_be_visible()
    assert await door.get_by_role("button", name="Make invitation link").count() == 0
    await expect(page.get_by_role("row", name="Mina Kim").get_by_text("Viewer", exact=True)).to_be_visible()
    await context.close()


async def test_a_form_of_another_site_changes_nothing(browser: Browser, world: World, database: Database) -> None:
    context = await browser.new_context()
    await context.add_cookies(await cookies_of(world, "owner"))
    page = await context.new_page()
    body = _FORGED.format(url=world.stack.url)
    await context.route("http://evil.example/*", lambda route: route.fulfill(body=body, content_type="text/html"))
    await page.goto("http://evil.example/")

    async with page.expect_response(f"{world.stack.url}/admin/account/name") as sent:
        await page.get_by_role("button", name="Win a picture").click()

    assert (await sent.value).status == 403
    async with database.transaction() as tx:
        assert (await organizations.get_user(tx, world.organization.user_id)).name is None
    await context.close()


async def test_a_member_is_removed_by_their_address(page: Page, world: World) -> None:
    email = world.emails["viewer"]
    await page.goto("/admin/members")
    await page.get_by_role("link", name=f"Remove… {email}").click()

    await page.get_by_label("to go on").fill("somebody else")
    await page.get_by_role("button", name=f"Remove {email}").click()
    await expect(page.get_by_text("Nobody was removed.")).to_be_visible()
    typed = await page.get_by_label("to go on").input_value()
    await page.get_by_label("to go on").fill(email)
    await page.get_by_role("button", name=f"Remove {email}").click()

    assert typed == "somebody else"
    await expect(page.get_by_text(f"{email} is no member any more.")).to_be_visible()
    await expect(page.get_by_role("link", name=f"Remove… {email}")).to_have_count(0)
