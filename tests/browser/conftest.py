import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.organizations import service as organizations
from app.organizations.models import MembershipRole
from tests import factories
from tests.browser.chromium import Complaints, chromium
from tests.browser.signing_in import cookies_of
from tests.browser.world import World
from tests.conftest import Stack
from tests.signed_in import let_sign_in

# Only a failing test waits this long.
expect.set_options(timeout=60_000)
_TRIES = 4


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for the run."""
    async with chromium() as opened:
        yield opened


@pytest.fixture
async def world(stack: Stack, database: Database) -> World:
    """A new organization with a member of each role; the owner also runs the server.

    Several browsers may keep this process from the processor for so long that Postgres ends its transaction. Then it is
    made again, as a client would.
    """
    for _ in range(_TRIES - 1):
        with suppress(ServiceUnavailableError):
            return await _make_world(stack, database)
    return await _make_world(stack, database)


async def _make_world(stack: Stack, database: Database) -> World:
    organization = await factories.make_organization(database)
    emails = {}
    async with database.transaction() as tx:
        for role in MembershipRole:
            if role is MembershipRole.OWNER:
                made = await organizations.get_organization(tx, organization.id)
                user = await organizations.get_member(tx, made, None)
                await tx.execute("UPDATE users SET is_operator = true WHERE id = $1", user.id)
            else:
                address = f"{role.value}-{secrets.token_hex(4)}@example.com"
                user = await organizations.ensure_user(tx, address, actor=COMMAND_LINE)
                await organizations.add_member(tx, organization.id, user.id, role, actor=COMMAND_LINE)
            let_sign_in(tx, user)
            emails[role.value] = user.email
    return World(stack, database, organization, emails)


@pytest.fixture
async def context(browser: Browser, world: World) -> AsyncIterator[BrowserContext]:
    """A browser of its own, signed in as the owner. What its pages complain about fails the test."""
    opened = await browser.new_context(base_url=world.stack.url, viewport={"width": 1440, "height": 900})
    complaints = Complaints(opened)
    await opened.add_cookies(await cookies_of(world, "owner"))
    yield opened
    await opened.close()
    assert complaints.found == []


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    """A page of that browser."""
    return await context.new_page()


@pytest.fixture
async def plain_page(browser: Browser, world: World) -> AsyncIterator[Page]:
    """A page without scripts, signed in as the owner."""
    opened = await browser.new_context(base_url=world.stack.url, java_script_enabled=False)
    await opened.add_cookies(await cookies_of(world, "owner"))
    yield await opened.new_page()
    await opened.close()


@pytest.fixture
async def owner(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client with the owner's cookies, for what a test prepares."""
    cookies = {cookie["name"]: cookie["value"] for cookie in await cookies_of(world, "owner")}
    async with httpx.AsyncClient(base_url=f"{world.stack.url}/admin", cookies=cookies, timeout=60) as client:
        yield client
