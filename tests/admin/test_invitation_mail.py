"""Invitations where mail is set up: the mail brings the link, which is shown in any case and stored nowhere."""

import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from app.core.database import Database
from tests.admin.conftest import Browser, let_owner_sign_in
from tests.admin.inviting import link_in
from tests.conftest import Stack
from tests.factories import Organization
from tests.mail.servers import Mailbox, mail_server
from tests.programs import api_process, running_apis
from tests.signed_in import PASSWORD


@pytest.fixture(scope="module")
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as opened:
        yield opened


@pytest.fixture(scope="module")
async def mailing(stack: Stack, mailbox: Mailbox) -> AsyncIterator[Stack]:
    """The stack with an API that sends mail."""
    mail = {"SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}", "MAIL_FROM": "Junis <junis@example.org>"}
    api = api_process({**stack.environment, **mail}, stack.folder / "api-that-mails.log")
    async with running_apis(api):
        yield replace(stack, url=api.url)


@pytest.fixture
async def owner(mailing: Stack, database: Database, organization: Organization) -> AsyncIterator[Browser]:
    email = await let_owner_sign_in(database, organization)
    async with Browser(mailing, email=email, user_id=organization.user_id, organization=organization) as browser:
        await browser.sign_in()
        yield browser


@pytest.fixture
async def guest(mailing: Stack) -> AsyncIterator[Browser]:
    """Somebody who has no account."""
    async with Browser(mailing, organization=None) as browser:
        yield browser


@pytest.fixture
def address() -> str:
    """An address that only this test invites."""
    return f"{secrets.token_hex(6)}@example.com"


async def invite(owner: Browser, email: str) -> str:
    """Invite somebody; returns the page that follows."""
    sent = await owner.submit("/members/invite", email=email, role="admin")
    assert sent.status_code == 303, sent.text
    return (await owner.get("/members")).text


def link_mailed(mailbox: Mailbox, address: str) -> str:
    """The path, below the console's, of the link in the last mail to the address."""
    found = re.search(r"http://\S+/admin(/invitations/\S+)", mailbox.to(address)[-1].get_content())
    assert found
    return found[1]


async def test_a_mail_says_who_invites_to_what_and_its_link_works(
    owner: Browser, guest: Browser, mailbox: Mailbox, organization: Organization, address: str
) -> None:
    page = await invite(owner, address)

    (mail,) = mailbox.to(address)
    assert mail["Subject"] == f"You are invited to {organization.name}"
    assert f"{owner.email} invites you to become an admin of {organization.name}." in mail.get_content()
    assert f"Mailed to {address}." in page
    joined = await guest.submit_door(link_mailed(mailbox, address), name="Mina", password=PASSWORD, again=PASSWORD)
    assert joined.status_code == 303
    assert (await guest.get("/members")).status_code == 200


async def test_a_new_link_is_mailed_too_and_the_one_before_works_no_longer(
    owner: Browser, guest: Browser, mailbox: Mailbox, address: str
) -> None:
    page = await invite(owner, address)
    former = link_mailed(mailbox, address)
    renewal = re.search(r"/admin(/members/invitations/[^/]+/renew)", page)
    assert renewal

    await owner.submit(renewal[1])

    assert len(mailbox.to(address)) == 2
    assert (await guest.get(former)).status_code == 404
    assert (await guest.get(link_mailed(mailbox, address))).status_code == 200


async def test_the_link_is_stored_nowhere(
    owner: Browser, mailbox: Mailbox, database: Database, stack: Stack, address: str
) -> None:
    await invite(owner, address)

    token = link_mailed(mailbox, address).rpartition("/")[2]
    async with database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT row_to_json(i)::text AS row FROM invitations i"
            " UNION ALL SELECT row_to_json(o)::text FROM outgoing_mails o"
            " UNION ALL SELECT row_to_json(e)::text FROM audit_events e WHERE organization_id = $1",
            owner.organization.id if owner.organization else "",
        )
    log = (stack.folder / "api-that-mails.log").read_text()
    assert any(address in row["row"] for row in rows)
    assert all(token not in row["row"] for row in rows)
    assert "invitation_mailed" in log
    assert token not in log


async def test_a_link_that_cannot_be_mailed_is_shown_and_works(
    owner: Browser, guest: Browser, mailbox: Mailbox, address: str
) -> None:
    mailbox.refused = [address]

    await owner.submit("/members/invite", email=address, role="viewer")
    page = await owner.get("/members")

    assert "The mail could not be sent. Pass the link on yourself." in page.text
    assert mailbox.to(address) == []
    assert (await guest.get(link_in(page))).status_code == 200


async def test_one_address_gets_three_mails_a_day(owner: Browser, mailbox: Mailbox, address: str) -> None:
    pages = [await invite(owner, each) for each in (address, address.upper(), address, address)]

    assert ["Pass the link on yourself." in page for page in pages] == [False, False, False, True]
    assert [len(mailbox.to(each)) for each in (address, address.upper())] == [2, 1]


async def test_a_hundred_mails_a_day_leave_an_organization(
    owner: Browser, mailbox: Mailbox, database: Database, organization: Organization, address: str
) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO invitations (id, organization_id, email, role, token_hash, invited_by, expires_at, created_at)"
            " SELECT $1 || n, $1, n || '@example.com', 'viewer', sha256(convert_to($1 || n, 'UTF8')), $2, now(),"
            " now() - n * interval '15 minutes' FROM generate_series(1, 100) n",
            organization.id,
            organization.user_id,
        )
    first = await invite(owner, address)
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE invitations SET created_at = now() - n * interval '1 minute' FROM generate_series(1, 100) n"
            " WHERE id = $1 || n",
            organization.id,
        )
    second = await invite(owner, address)

    assert ["Pass the link on yourself." in page for page in (first, second)] == [False, True]
    assert len(mailbox.to(address)) == 1


async def test_without_a_mail_server_nothing_is_said_of_mail(owner_browser: Browser, address: str) -> None:
    page = await invite(owner_browser, address)

    assert "No mail is sent. You pass the link on" in page
    assert "Mailed" not in page
    assert f"Send this to {address} now." in page


async def test_an_address_that_mail_would_read_as_another_gets_none(
    owner: Browser, mailbox: Mailbox, address: str
) -> None:
    before = len(mailbox.recipients)

    page = await invite(owner, f"victim,{address}")

    assert mailbox.recipients[before:] == []
    assert "The mail could not be sent. Pass the link on yourself." in page
