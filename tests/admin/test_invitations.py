"""Invitations: the link that works once, for one address, and what becomes of those that do not work."""

import httpx
import pytest

from app.admin.sign_in.cookies import DOOR_COOKIE, csrf_of
from app.core.database import Database
from tests import factories
from tests.admin.conftest import Browser, BrowserOf, let_owner_sign_in
from tests.admin.inviting import LINK, invite, link_in, role_of
from tests.conftest import Stack
from tests.factories import Organization
from tests.signed_in import PASSWORD


async def test_a_new_user_joins_by_a_link_that_works_once(
    stack: Stack, database: Database, organization: Organization, owner_browser: Browser, anonymous_browser: Browser
) -> None:
    link = await invite(owner_browser, "Mina@Example.com", "viewer")
    shown_again = await owner_browser.get("/members")
    page = await anonymous_browser.get(link)

    joined = await anonymous_browser.submit_door(link, name="Mina", password=PASSWORD, again=PASSWORD)
    async with Browser(stack, organization=None) as late:
        used = await late.get(link)

    assert LINK.search(shown_again.text) is None
    assert link.rpartition("/")[2] not in shown_again.text
    assert "Mina@Example.com" in page.text
    assert (joined.status_code, joined.headers["location"]) == (303, "/admin/")
    assert await role_of(database, organization, "mina@example.com") == "viewer"
    assert "Mina" in (await anonymous_browser.get("/members")).text
    assert used.status_code == 404
    assert "does not work any more" in used.text


@pytest.mark.parametrize(
    ("password", "again", "refusal"),
    [
        ("short", "short", "Enter 12 characters or more."),
        (PASSWORD, "another one", "This is not the same."),
    ],
    ids=["short", "different"],
)
async def test_a_refused_password_keeps_the_link_and_what_was_typed(
    owner_browser: Browser, anonymous_browser: Browser, password: str, again: str, refusal: str
) -> None:
    link = await invite(owner_browser, f"{owner_browser.user_id}-mina@example.com")

    refused = await anonymous_browser.submit_door(link, name="Mina Kim", password=password, again=again)

    assert refused.status_code == 422
    assert refusal in refused.text
    assert 'value="Mina Kim"' in refused.text
    assert (await anonymous_browser.get(link)).status_code == 200


async def test_somebody_with_an_account_signs_in_to_join(
    database: Database, owner_browser: Browser, anonymous_browser: Browser
) -> None:
    """The link alone sets no password of somebody who may belong to other organizations."""
    other = await factories.make_organization(database)
    email = await let_owner_sign_in(database, other)
    link = await invite(owner_browser, email)
    page = await anonymous_browser.get(link)

    taken = await anonymous_browser.submit_door("/sign-in", email=email, password="x", next=f"/admin{link}")
    hijacked = await anonymous_browser.post(
        link, data={"csrf": csrf_of_door(page), "password": PASSWORD + "!", "again": PASSWORD + "!"}
    )
    await anonymous_browser.sign_in(email, next=f"/admin{link}")
    joined = await anonymous_browser.submit_door(link)
    start = await anonymous_browser.get("/")

    assert "Sign in and join" in page.text
    assert taken.status_code == 422
    assert (hijacked.status_code, hijacked.headers["location"]) == (303, f"/admin{link}")
    assert joined.status_code == 303
    assert owner_browser.organization
    assert owner_browser.organization.name in start.text
    assert other.name in start.text


def csrf_of_door(page: httpx.Response) -> str:
    """The token for the forms of those who are not signed in."""
    return csrf_of(page.cookies[DOOR_COOKIE])


async def test_an_invitation_is_for_one_address(owner_browser: Browser, browser_of: BrowserOf) -> None:
    link = await invite(owner_browser, "mina.other@example.com")
    member = await browser_of("member")

    page = await member.get(link)
    refused = await member.post(link, data={"csrf": csrf_of_door(page)})

    assert f"You are signed in as <strong>{member.email}</strong>" in page.text
    assert (refused.status_code, refused.headers["location"]) == (303, f"/admin{link}")


async def test_a_withdrawn_renewed_or_expired_link_does_not_work(
    database: Database, owner_browser: Browser, anonymous_browser: Browser
) -> None:
    domain = f"{owner_browser.user_id}.example.com"
    withdrawn, renewed, expired = [await invite(owner_browser, f"{name}@{domain}") for name in "abc"]
    path = f"/members/invitations/{await _id_of(database, f'a@{domain}')}/withdraw"
    await owner_browser.submit(path, confirm=f"A@{domain} ")
    await owner_browser.submit(f"/members/invitations/{await _id_of(database, f'b@{domain}')}/renew")
    newer = link_in(await owner_browser.get("/members"))
    async with database.transaction() as tx:
        await tx.execute("UPDATE invitations SET expires_at = now() WHERE email = $1", f"c@{domain}")

    statuses = [(await anonymous_browser.get(link)).status_code for link in (withdrawn, renewed, expired, newer)]

    assert statuses == [404, 404, 404, 200]


async def test_withdrawing_says_what_it_stops_and_asks_for_the_address(
    database: Database, owner_browser: Browser, anonymous_browser: Browser
) -> None:
    email = f"{owner_browser.user_id}@example.com"
    link = await invite(owner_browser, email)
    path = f"/members/invitations/{await _id_of(database, email)}/withdraw"

    asked = await owner_browser.get(path)
    refused = await owner_browser.submit(path, confirm="<mina@example.com")
    still = await anonymous_browser.get(link)
    withdrawn = await owner_browser.submit(path, confirm=email)
    again = await owner_browser.submit(path, confirm=email)

    assert (asked.status_code, refused.status_code, still.status_code) == (200, 422, 200)
    for said in (f"Type <code>{email}</code> to go on", "Its link works no more", "It was not accepted".lower()):
        assert said in asked.text
    assert "Nothing was withdrawn." in refused.text
    assert 'value="&lt;mina@example.com"' in refused.text
    assert (withdrawn.status_code, again.status_code) == (303, 404)
    assert (await owner_browser.get(path)).status_code == 404


async def test_only_managers_of_the_organization_withdraw_its_invitations(
    database: Database, owner_browser: Browser, browser_of: BrowserOf
) -> None:
    email = f"{owner_browser.user_id}@example.com"
    await invite(owner_browser, email)
    path = f"/members/invitations/{await _id_of(database, email)}/withdraw"
    strangers = [
        (await browser_of("viewer"), 403),
        (await browser_of("member"), 403),
        (await browser_of("owner", await factories.make_organization(database)), 404),
    ]

    for browser, status in strangers:
        assert (await browser.get(path)).status_code == status
        assert (await browser.submit(path, confirm=email)).status_code == status
    assert await _id_of(database, email)


async def _id_of(database: Database, email: str) -> str:
    """The open invitation of an address."""
    async with database.transaction() as tx:
        found: str = await tx.fetchval("SELECT id FROM invitations WHERE email = $1 AND withdrawn_at IS NULL", email)
    return found


async def test_no_link_of_a_removed_member_works(
    owner_browser: Browser, browser_of: BrowserOf, anonymous_browser: Browser
) -> None:
    """Else an admin could come back by a link made before."""
    admin = await browser_of("admin")
    link = await invite(admin, f"{admin.user_id}@example.com")

    await owner_browser.submit(f"/members/{admin.user_id}/remove", confirm=admin.email)

    assert (await anonymous_browser.get(link)).status_code == 404


async def test_an_invitation_needs_an_address_that_is_no_members(owner_browser: Browser) -> None:
    refusals = [
        await owner_browser.submit("/members/invite", email=email, role="member")
        for email in ("mina", "", owner_browser.email.upper())
    ]

    assert [refused.status_code for refused in refusals] == [422] * 3
    assert "Enter an e-mail address such as" in refusals[0].text
    assert "is a member already." in refusals[2].text


async def test_only_the_hash_of_an_invitations_token_is_stored(database: Database, owner_browser: Browser) -> None:
    link = await invite(owner_browser, f"{owner_browser.user_id}-hash@example.com")

    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT row_to_json(i)::text AS row FROM invitations i")

    assert rows
    assert all(link.rpartition("/")[2] not in row["row"] for row in rows)
