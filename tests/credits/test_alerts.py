"""Owners and admins are told once when credits fall below an amount, and again only after they have risen."""

import asyncio
import logging
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from app.credits import alerts
from app.credits.adjustments import adjust
from app.organizations import service as organizations
from app.organizations.models import MembershipRole
from tests import programs
from tests.core.sites import new_site, settings_of
from tests.credits.accounts import Account
from tests.mail.servers import Mailbox, mail_server
from tests.waiting import until

# No other site of the tests uses this key space of Redis.
_KEY_SPACE = 3
_URL = "https://junis.example.com/admin/usage"


@pytest.fixture(scope="module")
async def site(environment: dict[str, str], run_folder: Path) -> dict[str, str]:
    """A database of its own: a worker of the run, which sends no mail, would mark alerts before the test does."""
    return await new_site(environment, run_folder, redis_number=_KEY_SPACE)


@pytest.fixture(scope="module")
async def database(site: dict[str, str]) -> AsyncIterator[Database]:
    opened = Database.open(settings_of(site))
    yield opened
    await opened.close()


async def _add(account: Account, *thresholds: str) -> None:
    async with account.database.transaction() as tx:
        for threshold in thresholds:
            await alerts.add_alert(tx, account.organization.id, Decimal(threshold), actor=COMMAND_LINE)


async def _change(account: Account, amount: str, reference: str) -> None:
    async with account.database.transaction() as tx:
        await adjust(
            tx,
            account.organization.id,
            amount=Decimal(amount),
            reason="test",
            reference=account.own(reference),
            actor=COMMAND_LINE,
        )


async def _watch(account: Account, *, sends_mail: bool = True) -> int:
    return await alerts.watch_alerts(account.database, usage_url=_URL, sends_mail=sends_mail)


async def _crossed(account: Account) -> Decimal | None:
    async with account.database.transaction() as tx:
        return await alerts.crossed_threshold(tx, account.organization.id)


async def _subjects(account: Account) -> list[str]:
    """The subjects of the mails to the owner, oldest first."""
    async with account.database.transaction() as tx:
        [owner] = await organizations.list_manager_addresses(tx, account.organization.id)
        rows = await tx.fetch("SELECT subject FROM outgoing_mails WHERE recipient = $1 ORDER BY id", owner)
    return [row["subject"] for row in rows]


async def test_each_time_it_is_crossed_is_told_once(account: Account) -> None:
    await _add(account, "5")
    subject = f"{account.organization.name}: less than 5 credits available"
    told = []
    for number, amount in enumerate(["-1", "-1", "-0.000001", "-1", "+2.999999", "-1", "+3", "-2.5"]):
        await _change(account, amount, f"step-{number}")
        await _watch(account)
        await _watch(account)
        told.append((await _crossed(account), len(await _subjects(account))))

    five = Decimal(5)
    assert told == [
        (None, 0),  # 6
        (None, 0),  # 5: not below
        (five, 1),  # 4.999999
        (five, 1),  # 3.999999
        (None, 1),  # 6.999998
        (None, 1),  # 5.999998
        (None, 1),  # 8.999998
        (None, 1),  # 6.499998
    ]
    await _change(account, "-2", "last")
    await _watch(account)
    assert await _subjects(account) == [subject, subject]


async def test_many_workers_write_one_mail_to_each_manager(account: Account) -> None:
    await _add(account, "100")
    addresses = []
    async with account.database.transaction() as tx:
        for role in (MembershipRole.ADMIN, MembershipRole.MEMBER, MembershipRole.VIEWER):
            user = await organizations.ensure_user(tx, account.own(role) + "@example.com", actor=COMMAND_LINE)
            await organizations.add_member(tx, account.organization.id, user.id, role, actor=COMMAND_LINE)
            addresses.append(user.email)

    await asyncio.gather(*(_watch(account) for _ in range(6)))

    async with account.database.transaction() as tx:
        managers = await organizations.list_manager_addresses(tx, account.organization.id)
        mails = await tx.fetch(
            "SELECT recipient, body FROM outgoing_mails WHERE recipient = ANY($1::text[])", [*managers, *addresses]
        )
    assert len(managers) == 2
    assert sorted(mail["recipient"] for mail in mails) == sorted(managers)
    for mail in mails:
        assert "Available  7.000000" in mail["body"]
        assert _URL in mail["body"]


async def test_who_falls_below_two_amounts_at_once_gets_one_mail_of_the_lower(account: Account) -> None:
    await _add(account, "6", "5")

    await _change(account, "-3", "fall")
    await _watch(account)

    assert await _subjects(account) == [f"{account.organization.name}: less than 5 credits available"]
    assert await _crossed(account) == Decimal(5)


async def test_holds_that_come_and_go_are_told_once_in_an_hour(account: Account) -> None:
    await _add(account, "6.5")
    for number in range(3):
        await account.hold(f"hold-{number}")
        assert await _crossed(account) == Decimal("6.5")
        await _watch(account)
        await account.void(f"hold-{number}")
        assert await _crossed(account) is None
        await _watch(account)
    first = len(await _subjects(account))
    async with account.database.transaction() as tx:
        await tx.execute(
            "UPDATE credit_alerts SET raised_at = raised_at - interval '61 minutes' WHERE organization_id = $1",
            account.organization.id,
        )
    await _watch(account)
    await account.hold("later")
    await _watch(account)
    await account.void("later")

    assert (first, len(await _subjects(account))) == (1, 2)


async def test_without_a_mail_server_there_is_a_line_in_the_log_and_no_mail(
    account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    await _add(account, "8")

    with caplog.at_level(logging.WARNING):
        await _watch(account, sends_mail=False)
        await _watch(account, sends_mail=True)

    lines = [record for record in caplog.records if record.message == "credits_low"]
    own = [line for line in lines if vars(line)["organization_id"] == account.organization.id]
    assert [(vars(line)["threshold"], vars(line)["available"]) for line in own] == [("8.000000", "7.000000")]
    assert await _subjects(account) == []


async def test_a_suspended_manager_gets_no_mail(account: Account) -> None:
    await _add(account, "8")
    async with account.database.transaction() as tx:
        user = await organizations.ensure_user(tx, account.own("admin") + "@example.com", actor=COMMAND_LINE)
        await organizations.add_member(tx, account.organization.id, user.id, MembershipRole.ADMIN, actor=COMMAND_LINE)
        await tx.execute("UPDATE memberships SET suspended_at = now() WHERE user_id = $1", user.id)

    await _watch(account)

    assert len(await _subjects(account)) == 1


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as opened:
        yield opened


async def test_a_worker_sends_what_a_charge_has_caused(
    site: dict[str, str], run_folder: Path, account: Account, mailbox: Mailbox
) -> None:
    await _add(account, "6.5")
    settings = {
        **site,
        "SMTP_URL": f"smtp://127.0.0.1:{mailbox.port}",
        "MAIL_FROM": "junis@example.org",
        "PUBLIC_URL": "https://junis.example.com",
    }
    async with account.database.transaction() as tx:
        [owner] = await organizations.list_manager_addresses(tx, account.organization.id)

    with programs.running_worker(settings, run_folder / "mailing-worker.log"):
        await account.hold("spent")
        await account.settle("spent", "0.75")
        await until(lambda: _has(mailbox, owner))

    [mail] = mailbox.to(owner)
    assert "Available  6.250000" in mail.get_content()
    assert "https://junis.example.com/admin/usage" in mail.get_content()


async def _has(mailbox: Mailbox, address: str) -> bool:
    return bool(mailbox.to(address))
