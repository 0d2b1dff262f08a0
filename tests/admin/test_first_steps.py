"""One-time links, by which a user sets a password."""

import asyncio

import pytest

from app.accounts.one_time_links import make_link
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.organizations import service as organizations
from tests.admin.conftest import Browser, add_user
from tests.conftest import Stack
from tests.factories import Organization
from tests.signed_in import PASSWORD

NEW = "a rather different sentence"


async def link_for(database: Database, user_id: str) -> str:
    """A new link of the user's, as a path below the console's."""
    async with database.transaction() as tx:
        user = await organizations.get_user(tx, user_id)
        made = await make_link(tx, user, actor=COMMAND_LINE)
    return f"/first-steps/{made.token}"


async def test_a_link_sets_the_password_once_and_ends_what_the_old_one_began(
    stack: Stack, database: Database, owner_browser: Browser, anonymous_browser: Browser
) -> None:
    link = await link_for(database, owner_browser.user_id)
    page = await anonymous_browser.get(link)

    entered = await anonymous_browser.submit_door(link, password=NEW, again=NEW)
    former = await owner_browser.get("/account")
    own = await anonymous_browser.get("/account")
    used = await anonymous_browser.get(link)
    async with Browser(stack, email=owner_browser.email, organization=None) as other:
        with_old, with_new = await other.sign_in(), await other.sign_in(password=NEW)

    assert owner_browser.email in page.text
    assert (entered.status_code, entered.headers["location"]) == (303, "/admin/")
    assert (former.status_code, own.status_code, used.status_code) == (303, 200, 404)
    assert "does not work any more" in used.text
    assert (with_old.status_code, with_new.status_code) == (422, 303)


async def test_of_two_who_use_a_link_at_once_one_gets_in(
    stack: Stack, database: Database, organization: Organization
) -> None:
    user_id, _ = await add_user(database, organization)
    link = await link_for(database, user_id)
    async with Browser(stack, organization=None) as first, Browser(stack, organization=None) as second:
        results = await asyncio.gather(
            *(browser.submit_door(link, password=NEW, again=NEW) for browser in (first, second))
        )

    assert sorted(result.status_code for result in results) == [303, 404]


@pytest.mark.parametrize("end", ["replaced", "expired", "unknown"])
async def test_a_link_that_does_not_work_says_what_to_do(
    database: Database, organization: Organization, anonymous_browser: Browser, end: str
) -> None:
    user_id, _ = await add_user(database, organization)
    link = await link_for(database, user_id)
    working = await anonymous_browser.get(link)
    if end == "replaced":
        await link_for(database, user_id)
    elif end == "expired":
        async with database.transaction() as tx:
            await tx.execute("UPDATE one_time_links SET expires_at = now() WHERE user_id = $1", user_id)
    else:
        link = "/first-steps/" + "x" * 43

    shown = await anonymous_browser.get(link)
    sent = await anonymous_browser.post(link, data={"csrf": csrf_in(working.text), "password": NEW, "again": NEW})

    assert working.status_code == 200
    assert (shown.status_code, sent.status_code) == (404, 404)
    assert "junis admin reset" in shown.text


def csrf_in(text: str) -> str:
    return text.partition('name="csrf" value="')[2].partition('"')[0]


async def test_a_refused_password_leaves_the_link_as_it_is(
    database: Database, organization: Organization, anonymous_browser: Browser
) -> None:
    user_id, email = await add_user(database, organization)
    link = await link_for(database, user_id)

    refused = await anonymous_browser.submit_door(link, password="short", again="short")
    entered = await anonymous_browser.sign_in(email, PASSWORD)

    assert refused.status_code == 422
    assert "Enter 12 characters or more." in refused.text
    assert entered.status_code == 303
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT used_at IS NULL FROM one_time_links WHERE user_id = $1", user_id)
