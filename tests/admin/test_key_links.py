"""What a key's page leads to shows what belongs to that key."""

import re
from html import unescape

import httpx
import pytest

from app.core.database import Database
from tests.admin.conftest import Browser
from tests.admin.key_forms import add_key, created_in, words_of
from tests.conftest import Stack
from tests.factories import Organization


async def test_everything_that_a_key_leads_to_is_there(owner_browser: Browser, stack: Stack) -> None:
    key_id, secret = await created_in(owner_browser, name="leading")
    body = {"messages": [{"role": "user", "content": "hello"}]}
    async with httpx.AsyncClient(base_url=stack.base_url, headers={"X-API-Key": secret}, timeout=60) as client:
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    page = await owner_browser.get(f"/keys/{key_id}")

    links = {unescape(link) for link in re.findall(r'href="/admin(/[^"]+)"', page.text.partition("<main")[2])}

    assert {link.partition("?")[0] for link in links} >= {"/usage", "/ledger", "/sessions", "/content", "/audit"}
    for link in links:
        assert (await owner_browser.get(link)).status_code == 200, link


@pytest.mark.parametrize(
    ("path", "shown"), [("/ledger", "charge"), ("/audit", "created API key")], ids=["ledger", "audit"]
)
async def test_a_link_filters_by_the_key(
    owner_browser: Browser, database: Database, organization: Organization, path: str, shown: str
) -> None:
    row = await add_key(database, organization, name="filtering")
    page = await owner_browser.get(f"/keys/{row.id}")
    link = re.search(rf'href="/admin({path}\?[^"]*)"', page.text)
    assert link is not None

    followed = await owner_browser.get(unescape(link[1]))

    assert followed.status_code == 200
    assert ("filtering" in words_of(followed)) or row.id in followed.text
