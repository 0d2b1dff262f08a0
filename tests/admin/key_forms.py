"""Keys made through the form, and what the pages of keys say."""

import re
from html import unescape
from typing import Any

import httpx

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.api_keys.scopes import DEFAULT_SCOPES
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests.admin.conftest import Browser
from tests.factories import Organization

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
