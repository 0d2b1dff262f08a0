"""The reader's own account."""

from datetime import timedelta

import pytest

from app.admin.account.views import browser_name
from app.core.database import Database
from tests.admin.conftest import Browser, BrowserOf
from tests.conftest import Stack
from tests.signed_in import PASSWORD

NEW = "a rather different sentence"


async def test_changing_the_password_signs_out_all_other_browsers(stack: Stack, owner_browser: Browser) -> None:
    async with Browser(stack, email=owner_browser.email, organization=None) as other:
        await other.sign_in()

        changed = await owner_browser.submit("/account/password", old=PASSWORD, new=NEW, again=NEW)
        page = await owner_browser.get("/account")
        others = await other.get("/account")
        with_old, with_new = await other.sign_in(), await other.sign_in(password=NEW)

    assert (changed.status_code, page.status_code, others.status_code) == (303, 200, 303)
    assert "Password changed. 1 other browser signed out." in page.text
    assert (with_old.status_code, with_new.status_code) == (422, 303)


@pytest.mark.parametrize(
    ("form", "refusal"),
    [
        ({"old": "not it at all", "new": NEW, "again": NEW}, "That is not the password."),
        ({"old": PASSWORD, "new": "short", "again": "short"}, "Enter 12 characters or more."),
        ({"old": PASSWORD, "new": NEW, "again": NEW + "!"}, "This is not the same."),
    ],
    ids=["wrong", "short", "different"],
)
async def test_a_refused_password_changes_nothing(
    stack: Stack, owner_browser: Browser, form: dict[str, str], refusal: str
) -> None:
    refused = await owner_browser.submit("/account/password", **form)

    async with Browser(stack, email=owner_browser.email, organization=None) as other:
        entered = await other.sign_in()
    assert refused.status_code == 422
    assert refusal in refused.text
    assert NEW not in refused.text
    assert entered.status_code == 303


async def test_a_session_that_was_left_open_is_no_way_to_guess_faster(owner_browser: Browser) -> None:
    for _ in range(5):
        await owner_browser.submit("/account/password", old="a guess", new=NEW, again=NEW)

    refused = await owner_browser.submit("/account/email", email="eve@example.com", password="a guess")
    changed = await owner_browser.submit("/account/password", old=PASSWORD, new=NEW, again=NEW)

    assert refused.elapsed > timedelta(seconds=1)
    assert refused.status_code == 422
    assert changed.elapsed > timedelta(seconds=2)
    assert changed.status_code == 303


async def test_one_browser_or_all_others_can_be_signed_out(
    stack: Stack, database: Database, owner_browser: Browser, browser_of: BrowserOf
) -> None:
    member = await browser_of("member")
    async with (
        Browser(stack, email=owner_browser.email, organization=None) as second,
        Browser(stack, email=owner_browser.email, organization=None) as third,
    ):
        second.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        await second.sign_in()
        await third.sign_in()
        async with database.transaction() as tx:
            second_id = await tx.fetchval(
                "SELECT id FROM console_sessions WHERE user_id = $1 AND user_agent LIKE '%Firefox%'",
                owner_browser.user_id,
            )
        page = await owner_browser.get("/account")

        not_theirs = await member.submit(f"/account/sessions/{second_id}/end")
        before = await second.get("/account")
        ended = await owner_browser.submit(f"/account/sessions/{second_id}/end")
        ended_again = await owner_browser.submit(f"/account/sessions/{second_id}/end")
        after, thirds = await second.get("/account"), await third.get("/account")
        all_others = await owner_browser.submit("/account/sessions/end-others")
        thirds_after, own = await third.get("/account"), await owner_browser.get("/account")

    assert "Firefox on Linux" in page.text
    assert not_theirs.status_code == 404
    assert (before.status_code, ended.status_code, after.status_code) == (200, 303, 303)
    assert ended_again.status_code == 404
    assert (thirds.status_code, all_others.status_code, thirds_after.status_code) == (200, 303, 303)
    assert own.status_code == 200
    assert (await member.get("/account")).status_code == 200


async def test_the_address_is_changed_with_the_password(
    stack: Stack, owner_browser: Browser, browser_of: BrowserOf
) -> None:
    other = await browser_of("member")
    address = f"new-{owner_browser.user_id}@example.com"

    refusals = [
        await owner_browser.submit("/account/email", email=address, password="not it at all"),
        await owner_browser.submit("/account/email", email=other.email.upper(), password=PASSWORD),
        await owner_browser.submit("/account/email", email="no address", password=PASSWORD),
    ]
    changed = await owner_browser.submit("/account/email", email=address, password=PASSWORD)

    async with Browser(stack, organization=None) as browser:
        former, entered = await browser.sign_in(owner_browser.email), await browser.sign_in(address)
    assert [refused.status_code for refused in refusals] == [422] * 3
    assert "That is not the password." in refusals[0].text
    assert "Another user has this address." in refusals[1].text
    assert "Not an email address" in refusals[2].text
    assert address in refusals[0].text
    assert changed.status_code == 303
    assert (former.status_code, entered.status_code) == (422, 303)


async def test_a_name_is_shown_beside_the_address(owner_browser: Browser) -> None:
    name = "<b>Ada</b> & " + "x" * 40

    saved = await owner_browser.submit("/account/name", name=name)
    refused = await owner_browser.submit("/account/name", name="x" * 65)
    page = await owner_browser.get("/members")

    assert (saved.status_code, refused.status_code) == (303, 422)
    assert "&lt;b&gt;Ada&lt;/b&gt; &amp;" in page.text
    assert "<b>Ada</b>" not in page.text


async def test_failed_attempts_are_shown_to_their_user(stack: Stack, owner_browser: Browser) -> None:
    async with Browser(stack, organization=None) as guesser:
        await guesser.sign_in(owner_browser.email, "a guess at it")

    page = await owner_browser.get("/account")

    assert "Wrong password" in page.text
    assert "Signed in" in page.text


CHROME = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36"
SAFARI = "Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605 (KHTML, like Gecko) Safari/604.1"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (CHROME, "Chrome on Windows"),
        (CHROME + " Edg/140.0", "Edge on Windows"),
        (SAFARI, "Safari on iPhone"),
        ("curl/8.17.0", "curl"),
        ("python-httpx/0.28", "python-httpx"),
        ("", "Unknown browser"),
        ("x" * 400, "x" * 40),
    ],
    ids=["chrome", "edge", "safari", "curl", "httpx", "none", "long"],
)
def test_browsers_are_called_as_people_call_them(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name
