"""Browsers that are signed in to the console of the running stack, without what only a real one has."""

import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from html import unescape
from typing import Any

import httpx
import pytest

from app.admin.sign_in.cookies import SESSION_COOKIE, csrf_of
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import service as organizations
from app.organizations.models import MembershipRole
from tests.conftest import Stack
from tests.factories import Organization
from tests.plain_http import NO_TLS
from tests.signed_in import PASSWORD, cookies_after_sign_in, let_sign_in

_TOKEN = re.compile(r'name="csrf" value="([^"]*)"')


class Browser(httpx.AsyncClient):
    """A browser at the console: paths are those below `/admin`. It follows no redirects.

    Attributes:
        email: the user's address.
        user_id: the user.
        organization: the organization that the user is in.
    """

    def __init__(self, stack: Stack, *, email: str = "", user_id: str = "", organization: Organization | None) -> None:
        # A connection that is kept may be closed by the server at the very moment at which it is used again.
        limits = httpx.Limits(max_keepalive_connections=0)
        super().__init__(base_url=f"{stack.url}/admin", timeout=60, limits=limits, verify=NO_TLS)
        self.email = email
        self.user_id = user_id
        self.organization = organization

    @property
    def csrf(self) -> str:
        """The token that every form of the session carries."""
        return csrf_of(self.cookies.get(SESSION_COOKIE, "", path="/admin") or "")

    async def submit(self, path: str, **fields: Any) -> httpx.Response:
        """Send a form with the session's token. A field may have several values."""
        return await self.post(path, data={"csrf": self.csrf, **fields})

    async def submit_door(self, path: str, **fields: Any) -> httpx.Response:
        """Open a page with a form for somebody who is not signed in, and send the form."""
        page = await self.get(path)
        return await self.post(path, data={"csrf": token_in(page), **fields})

    async def begin_session(self, database: Database) -> None:
        """Be as after signing in, without the page."""
        for name, value in (await cookies_after_sign_in(database, self.user_id)).items():
            self.cookies.set(name, value, domain="127.0.0.1", path="/admin")

    async def sign_in(self, email: str | None = None, password: str = PASSWORD, **fields: Any) -> httpx.Response:
        """Sign in through the page."""
        return await self.submit_door("/sign-in", email=email or self.email, password=password, **fields)


def token_in(page: httpx.Response) -> str:
    """The token of the first form of a page."""
    found = _TOKEN.search(page.text)
    assert found, page.text
    return unescape(found[1])


async def add_user(
    database: Database,
    organization: Organization | None,
    role: MembershipRole = MembershipRole.MEMBER,
    *,
    is_operator: bool = False,
) -> tuple[str, str]:
    """A new user with a password, in an organization if one is given; returns the user's id and address."""
    email = f"{role}-{secrets.token_hex(6)}@example.com"
    async with database.transaction() as tx:
        user = await organizations.ensure_user(tx, email, actor=COMMAND_LINE)
        let_sign_in(tx, user)
        organizations.set_operator(tx, user, is_operator=is_operator, actor=COMMAND_LINE)
        if organization is not None:
            await organizations.add_member(tx, organization.id, user.id, role, actor=COMMAND_LINE)
    return user.id, email


async def let_owner_sign_in(database: Database, organization: Organization) -> str:
    """Give the organization's owner the tests' password; returns the owner's address."""
    async with database.transaction() as tx:
        user = await organizations.get_user(tx, organization.user_id)
        let_sign_in(tx, user)
        return user.email


BrowserOf = Callable[..., Awaitable[Browser]]


@pytest.fixture
async def browsers() -> AsyncIterator[AsyncExitStack]:
    """Closes the test's browsers at its end."""
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def anonymous_browser(stack: Stack, browsers: AsyncExitStack) -> Browser:
    """A browser that nobody is signed in with."""
    return await browsers.enter_async_context(Browser(stack, organization=None))


@pytest.fixture
async def browser_of(
    stack: Stack, database: Database, organization: Organization, browsers: AsyncExitStack
) -> BrowserOf:
    """Call it with a role, such as "viewer", for a browser in which somebody of that role has signed in.

    The user is in the test's `organization`, unless another one, or None, is given. The owner of that is its only one.
    """

    async def sign_in(
        role: str = "owner", of: Organization | None = organization, *, is_operator: bool = False
    ) -> Browser:
        if role == "owner" and of is not None and not is_operator:
            user_id, email = of.user_id, await let_owner_sign_in(database, of)
        else:
            user_id, email = await add_user(database, of, MembershipRole(role), is_operator=is_operator)
        browser = Browser(stack, email=email, user_id=user_id, organization=of)
        await browsers.enter_async_context(browser)
        await browser.begin_session(database)
        return browser

    return sign_in


@pytest.fixture
async def owner_browser(browser_of: BrowserOf) -> Browser:
    """The owner of the test's `organization`, signed in."""
    return await browser_of("owner")


@pytest.fixture
async def operator_browser(browser_of: BrowserOf) -> Browser:
    """An operator of the server who is a member of the test's `organization`, signed in."""
    return await browser_of("member", is_operator=True)
