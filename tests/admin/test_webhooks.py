"""Admin > Webhooks: endpoints are made, tried out, changed and deleted; deliveries are shown and sent again."""

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.key_forms import words_of
from tests.factories import Organization
from tests.waiting import until
from tests.webhook_endpoints.endpoints import deliveries, tell
from tests.webhook_endpoints.receiver import Receiver, receiving, status

_SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]+")
_EVENTS = ["credits.low"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def _create(browser: Browser, url: str) -> tuple[str, httpx.Response]:
    """The path of a new endpoint, and the page that its maker is led to."""
    sent = await browser.submit("/webhooks/new", url=url, description="Books", events=_EVENTS)
    assert sent.status_code == 303, sent.text
    location = sent.headers["location"].removeprefix("/admin")
    return f"/webhooks/{location.partition('=')[2]}", await browser.get(location)


async def test_an_endpoint_is_made_and_its_secret_is_shown_once(owner_browser: Browser, receiver: Receiver) -> None:
    path, shown = await _create(owner_browser, receiver.url)
    again = await owner_browser.get(f"/webhooks/secret?endpoint={path.rpartition('/')[2]}")
    page = await owner_browser.get(path)

    assert len(_SECRET.findall(unescape(shown.text))) == 1
    assert (shown.headers["cache-control"], again.status_code) == ("no-store", 410)
    for later in (again, page, await owner_browser.get("/webhooks")):
        assert not _SECRET.search(unescape(later.text))
    assert receiver.url in page.text


async def test_nobody_else_is_shown_a_secret(
    owner_browser: Browser, browser_of: BrowserOf, organization: Organization
) -> None:
    sent = await owner_browser.submit("/webhooks/new", url="https://example.com", events=_EVENTS)
    location = sent.headers["location"].removeprefix("/admin")
    admin = await browser_of("admin")
    for name, value in sent.cookies.items():
        admin.cookies.set(name, value, domain="127.0.0.1", path="/admin")

    assert (await admin.get(location)).status_code == 410


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"url": "http://example.com", "events": _EVENTS}, "must begin with https://"),
        ({"url": "https://10.0.0.1", "events": _EVENTS}, "must not lead to a private address"),
        ({"url": "https://example.com"}, "Tick at least one event."),
        ({"url": "", "events": _EVENTS}, "Enter a url."),
    ],
)
async def test_what_is_refused_is_said(owner_browser: Browser, fields: dict[str, str], refusal: str) -> None:
    page = await owner_browser.submit("/webhooks/new", **fields)

    assert page.status_code == 422
    assert refusal in words_of(page)


async def test_a_test_event_is_followed_to_its_tries_and_sent_again(
    owner_browser: Browser, receiver: Receiver, database: Database, organization: Organization
) -> None:
    path, _ = await _create(owner_browser, receiver.url)
    receiver.answer = status(500)
    sent = await owner_browser.submit(f"{path}/test")
    delivery = sent.headers["location"].removeprefix("/admin")

    async def has_failed() -> bool:
        return "The receiver answered 500" in words_of(await owner_browser.get(delivery))

    await until(has_failed)
    again = await owner_browser.submit(f"{delivery}/resend")
    await receiver.until_got(2)

    assert again.status_code == 303
    assert "webhook.test" in words_of(await owner_browser.get(path))
    assert "None of these" in words_of(await owner_browser.get(f"{path}?state=failed"))


async def test_an_endpoint_is_changed_switched_rotated_and_deleted(
    owner_browser: Browser, receiver: Receiver, database: Database, organization: Organization
) -> None:
    path, first = await _create(owner_browser, receiver.url)

    await owner_browser.submit(f"{path}/edit", url=f"{receiver.url}/new", events=["content.failed"])
    assert "content.failed" in words_of(await owner_browser.get(path))
    await owner_browser.submit(f"{path}/switch", to="off")
    await tell(database, organization.id, "not told")
    assert "Somebody has disabled it." in words_of(await owner_browser.get(path))
    await owner_browser.submit(f"{path}/switch", to="on")
    rotated = await owner_browser.submit(f"{path}/rotate", overlap="24")
    second = await owner_browser.get(rotated.headers["location"].removeprefix("/admin"))
    secrets = {_SECRET.findall(unescape(page.text))[0] for page in (first, second)}
    wrong = await owner_browser.submit(f"{path}/delete", host="example.com")
    right = await owner_browser.submit(f"{path}/delete", host=f"127.0.0.1:{receiver.port}")

    assert len(secrets) == 2
    assert (wrong.status_code, right.status_code) == (422, 303)
    assert (await owner_browser.get(path)).status_code == 404
    assert "No endpoints yet" in words_of(await owner_browser.get("/webhooks"))
    assert list(await deliveries(database, organization.id)) == []


@pytest.mark.parametrize("role", ["member", "viewer"])
async def test_only_owners_and_admins_see_them(browser_of: BrowserOf, role: str) -> None:
    browser = await browser_of(role)

    assert (await browser.get("/webhooks")).status_code == 403
    assert (await browser.submit("/webhooks/new", url="https://example.com", events=_EVENTS)).status_code == 403


async def test_those_of_another_organization_are_unknown(
    owner_browser: Browser, browser_of: BrowserOf, database: Database
) -> None:
    stranger_browser = await browser_of("owner", await factories.make_organization(database))
    path, _ = await _create(owner_browser, "https://example.com/hook")
    sent = await owner_browser.submit(f"{path}/test")
    delivery = sent.headers["location"].removeprefix("/admin")

    for page in (path, f"{path}/edit", f"{path}/rotate", f"{path}/delete", delivery):
        assert (await stranger_browser.get(page)).status_code == 404
    for form in (f"{path}/test", f"{path}/switch", f"{path}/rotate", f"{path}/delete", f"{delivery}/resend"):
        assert (await stranger_browser.submit(form)).status_code == 404
