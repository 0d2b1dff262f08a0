"""Mail: written in the transaction of what it tells about, and sent by a worker afterwards."""

import logging
from datetime import timedelta
from time import monotonic
from typing import Protocol

from app.core.backoff import backoff
from app.core.database import Database, Transaction
from app.core.metrics import MAILS
from app.mail import repository
from app.mail.errors import MailRefusedError, MailServerError
from app.mail.repository import ClaimedMail

logger = logging.getLogger(__name__)

_SENT, _PUT_OFF, _GIVEN_UP = (MAILS.labels(result) for result in ("sent", "put_off", "given_up"))

# Longer than a mail can take to be sent.
_LEASE = timedelta(minutes=2)
# A round of a worker's loop must not take longer than a minute.
_MOST_SECONDS = 25.0
_FIRST_PAUSE_SECONDS = 15.0
_LONGEST_PAUSE_SECONDS = 1800.0
_GIVEN_UP_AFTER = timedelta(days=2)
_FORGOTTEN_AFTER = timedelta(days=30)
_FORGET_SIZE = 500


class MailSender(Protocol):
    """Sends one mail to one address. The same mail sent again has the same `mail_id`."""

    async def send(self, mail_id: str, recipient: str, subject: str, body: str) -> None:
        """Send a mail.

        Raises:
            MailRefusedError: the server will not take this mail, however often it is tried.
            MailServerError: it may take it later.
        """


async def write(tx: Transaction, recipient: str, subject: str, body: str) -> None:
    """Write a mail, which is sent once the transaction is committed."""
    await repository.add(tx, recipient, " ".join(subject.split()), body)


async def send_due(database: Database, sender: MailSender) -> int:
    """Send what is due. Returns how many mails were sent.

    Any number of workers may do so at once: each mail is sent by one of them. No transaction is open meanwhile. A
    worker that dies after the server has taken a mail leaves it to be sent again, with the same Message-ID.
    """
    deadline = monotonic() + _MOST_SECONDS
    sent = 0
    while monotonic() < deadline:
        async with database.transaction() as tx:
            mail = await repository.claim(tx, _LEASE)
        if mail is None:
            break
        sent += await _send(database, sender, mail)
    return sent


async def forget_old(database: Database) -> None:
    """Delete mails of a month ago, a batch of them."""
    async with database.transaction() as tx:
        await repository.forget(tx, _FORGOTTEN_AFTER, _FORGET_SIZE)


async def _send(database: Database, sender: MailSender, mail: ClaimedMail) -> bool:
    try:
        await sender.send(str(mail.id), mail.recipient, mail.subject, mail.body)
    except MailRefusedError as error:
        await _give_up(database, mail, str(error))
        return False
    except MailServerError as error:
        if mail.age > _GIVEN_UP_AFTER:
            await _give_up(database, mail, str(error))
            return False
        pause = backoff(mail.attempt - 1, first=_FIRST_PAUSE_SECONDS, longest=_LONGEST_PAUSE_SECONDS)
        async with database.transaction() as tx:
            await repository.note_failed(tx, mail, str(error), pause)
        _PUT_OFF.inc()
        logger.warning("mail_not_sent", extra={"mail_id": mail.id, "attempt": mail.attempt, "reason": str(error)})
        return False
    async with database.transaction() as tx:
        await repository.note_sent(tx, mail)
    _SENT.inc()
    logger.info("mail_sent", extra={"mail_id": mail.id, "attempt": mail.attempt})
    return True


async def _give_up(database: Database, mail: ClaimedMail, reason: str) -> None:
    async with database.transaction() as tx:
        await repository.note_given_up(tx, mail, reason)
    _GIVEN_UP.inc()
    logger.error("mail_given_up", extra={"mail_id": mail.id, "attempt": mail.attempt, "reason": reason})
