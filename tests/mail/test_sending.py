"""Mail is sent once, tried again while the server cannot take it, and given up if it never will."""

import asyncio
import secrets
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
import trustme
from pydantic import ValidationError

from app.core.database import Database
from app.core.settings import Settings
from app.mail import service as mail
from app.mail.errors import MailServerError
from app.mail.smtp import SmtpSender, open_sender
from devstack.ports import free_port
from tests.mail.servers import Mailbox, mail_server


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mail_server() as opened:
        yield opened


@pytest.fixture
def address() -> str:
    """An address that only this test writes to."""
    return f"{secrets.token_hex(6)}@example.com"


def _sender(port: int, *, user: str = "", **settings: object) -> SmtpSender:
    url = f"smtp://{user}127.0.0.1:{port}"
    sender = open_sender(
        Settings.model_validate({"smtp_url": url, "mail_from": "Junis <junis@example.org>", **settings})
    )
    assert sender is not None
    return sender


async def _write(database: Database, address: str, subject: str = "Hello", body: str = "Grüße\n") -> None:
    async with database.transaction() as tx:
        await mail.write(tx, address, subject, body)


async def _write_and_fail(database: Database, address: str) -> None:
    async with database.transaction() as tx:
        await mail.write(tx, address, "Hello", "")
        raise ZeroDivisionError


async def _row(database: Database, address: str) -> asyncpg.Record:
    async with database.transaction() as tx:
        row = await tx.fetchrow(
            "SELECT attempts, sent_at, given_up_at, last_error, due_at - now() AS due_in FROM outgoing_mails"
            " WHERE recipient = $1",
            address,
        )
    assert row is not None
    return row


async def _let_time_pass(database: Database, address: str, days: int = 0) -> None:
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE outgoing_mails SET due_at = now(), created_at = created_at - make_interval(days => $2)"
            " WHERE recipient = $1",
            address,
            days,
        )


async def test_a_mail_is_sent_once_however_many_workers_send(
    database: Database, mailbox: Mailbox, address: str
) -> None:
    await _write(database, address, subject="Fern\nhill:  less")
    sender = _sender(mailbox.port)

    await asyncio.gather(*(mail.send_due(database, sender) for _ in range(4)))
    await mail.send_due(database, sender)

    [sent] = mailbox.to(address)
    assert sent["From"] == "Junis <junis@example.org>"
    assert sent["Subject"] == "Fern hill: less"
    assert sent["Message-ID"].endswith("@example.org>")
    assert sent.get_content().replace("\r\n", "\n") == "Grüße\n"
    row = await _row(database, address)
    assert (row["attempts"], row["sent_at"] is not None, row["last_error"]) == (1, True, None)


async def test_what_is_rolled_back_is_not_sent(database: Database, mailbox: Mailbox, address: str) -> None:
    with pytest.raises(ZeroDivisionError):
        await _write_and_fail(database, address)

    await mail.send_due(database, _sender(mailbox.port))

    assert mailbox.to(address) == []


async def test_a_server_that_is_busy_is_tried_again_with_the_same_id(
    database: Database, mailbox: Mailbox, address: str
) -> None:
    await mail.send_due(database, _sender(mailbox.port))
    await _write(database, address)
    mailbox.answers = ["451 4.3.0 try again later"]
    sender = _sender(mailbox.port)

    await mail.send_due(database, sender)
    failed = await _row(database, address)
    await mail.send_due(database, sender)
    not_yet = len(mailbox.to(address))
    await _let_time_pass(database, address)
    await mail.send_due(database, sender)

    assert failed["sent_at"] is None
    assert failed["last_error"].startswith("451")
    assert 5 < failed["due_in"].total_seconds() <= 15
    assert not_yet == 0
    assert len(mailbox.to(address)) == 1


async def test_a_server_that_is_away_is_tried_again_for_two_days(database: Database, address: str) -> None:
    await _write(database, address)
    sender = _sender(free_port())

    await mail.send_due(database, sender)
    away = await _row(database, address)
    await _let_time_pass(database, address, days=3)
    await mail.send_due(database, sender)

    assert away["given_up_at"] is None
    assert "127.0.0.1" in away["last_error"]
    assert (await _row(database, address))["given_up_at"] is not None


async def test_an_address_that_is_refused_is_given_up_and_others_are_sent(
    database: Database, mailbox: Mailbox, address: str
) -> None:
    mailbox.refused = [address]
    await _write(database, address)
    await _write(database, f"other-{address}")
    await _write(database, f"two\n{address}")

    await mail.send_due(database, _sender(mailbox.port))

    row = await _row(database, address)
    assert row["given_up_at"] is not None
    assert row["last_error"] == "550 5.1.1 no such user"
    assert (await _row(database, f"two\n{address}"))["given_up_at"] is not None
    assert len(mailbox.to(f"other-{address}")) == 1


async def test_a_worker_that_dies_leaves_its_mail_to_another(
    database: Database, mailbox: Mailbox, address: str
) -> None:
    class Dying:
        async def send(self, *_mail: str) -> None:
            raise asyncio.CancelledError

    await mail.send_due(database, _sender(mailbox.port))
    await _write(database, address)

    with pytest.raises(asyncio.CancelledError):
        await mail.send_due(database, Dying())
    await mail.send_due(database, _sender(mailbox.port))
    assert mailbox.to(address) == []
    await _let_time_pass(database, address)
    await mail.send_due(database, _sender(mailbox.port))

    assert len(mailbox.to(address)) == 1


async def test_a_password_is_sent_over_tls_alone(mailbox: Mailbox, tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    user = "junis%40example.org:p%40ss%2Fword@"

    async with mail_server(context) as secured:
        await _sender(secured.port, user=user, ca_bundle=str(tmp_path / "ca.pem")).send("1", "a@example.com", "Hi", "")
        with pytest.raises(MailServerError):
            await _sender(secured.port, user=user).send("2", "a@example.com", "Hi", "")
        wrong = _sender(secured.port, user="a:b@", ca_bundle=str(tmp_path / "ca.pem"))
        with pytest.raises(MailServerError, match="535"):
            await wrong.send("3", "a@example.com", "Hi", "")
    with pytest.raises(MailServerError):
        await _sender(mailbox.port, user=user).send("4", "a@example.com", "Hi", "")

    # A client tries one way of signing in after the other.
    assert set(secured.passwords) == {("junis@example.org", "p@ss/word", True), ("a", "b", True)}
    assert len(secured.mails) == 1
    assert mailbox.passwords == []


async def test_old_mails_are_forgotten(database: Database, address: str) -> None:
    await _write(database, address)
    await _let_time_pass(database, address, days=31)

    await mail.forget_old(database)

    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM outgoing_mails WHERE recipient = $1", address) == 0


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"smtp_url": "smtp://mail.example.com"}, "mail_from"),
        ({"smtp_url": "smtp://mail.example.com", "mail_from": "nobody"}, "mail_from"),
        ({"smtp_url": "http://mail.example.com", "mail_from": "a@example.com"}, "smtp_url"),
        ({"smtp_url": "smtp://a:b/c@mail.example.com", "mail_from": "a@example.com"}, "smtp_url"),
        ({"smtp_url": "smtp://mail.example.com:99999", "mail_from": "a@example.com"}, "smtp_url"),
        ({"smtp_url": "smtp://mail.example.com/x", "mail_from": "a@example.com"}, "smtp_url"),
        ({"smtp_url": "smtp://mail.example.com", "mail_from": "a@example.com\nBcc: b@example.com"}, "mail_from"),
    ],
    ids=["no-sender", "no-address", "scheme", "password", "port", "path", "line-break"],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate(settings)

    assert [error["loc"] for error in refused.value.errors()] == [(says,)]


def test_without_a_server_nothing_is_sent() -> None:
    assert open_sender(Settings.model_validate({})) is None
