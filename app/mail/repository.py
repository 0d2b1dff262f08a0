from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from asyncpg import Record

from app.core.database import Transaction

_ADD = "INSERT INTO outgoing_mails (recipient, subject, body) VALUES ($1, $2, $3)"

_CLAIM = """
UPDATE outgoing_mails SET attempts = attempts + 1, due_at = now() + $1
WHERE id = (
    SELECT id FROM outgoing_mails WHERE sent_at IS NULL AND given_up_at IS NULL AND due_at <= now()
    ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING id, recipient, subject, body, attempts, now() - created_at AS age
"""
# Only for the try that it is the result of: another worker may have taken the mail over since.
_END = """
UPDATE outgoing_mails SET {change} WHERE id = $1 AND attempts = $2 AND sent_at IS NULL AND given_up_at IS NULL
"""
_SENT = _END.format(change="sent_at = now(), last_error = NULL")
_GIVE_UP = _END.format(change="given_up_at = now(), last_error = $3")
_TRY_AGAIN = _END.format(change="due_at = now() + $4, last_error = $3")

_FORGET = """
DELETE FROM outgoing_mails WHERE id IN (
    SELECT id FROM outgoing_mails WHERE created_at < now() - $1::interval ORDER BY created_at LIMIT $2
)
"""


@dataclass(frozen=True)
class ClaimedMail:
    """A mail that this process is to send: which try it is, from 1, and how long ago the mail was written."""

    id: int
    recipient: str
    subject: str
    body: str
    attempt: int
    age: timedelta

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The mail of a row of `outgoing_mails`."""
        return cls(row["id"], row["recipient"], row["subject"], row["body"], row["attempts"], row["age"])


async def add(tx: Transaction, recipient: str, subject: str, body: str) -> None:
    """Add a mail, which is due at once."""
    await tx.execute(_ADD, recipient, subject, body)


async def claim(tx: Transaction, lease: timedelta) -> ClaimedMail | None:
    """The mail that has been due for longest, which no other process takes for the time of the lease."""
    row = await tx.fetchrow(_CLAIM, lease)
    return ClaimedMail.from_row(row) if row else None


async def note_sent(tx: Transaction, mail: ClaimedMail) -> None:
    """Note that the mail has been sent."""
    await tx.execute(_SENT, mail.id, mail.attempt)


async def note_given_up(tx: Transaction, mail: ClaimedMail, reason: str) -> None:
    """Note that the mail is not tried again."""
    await tx.execute(_GIVE_UP, mail.id, mail.attempt, reason)


async def note_failed(tx: Transaction, mail: ClaimedMail, reason: str, pause: timedelta) -> None:
    """Note that the mail is to be tried again after a pause."""
    await tx.execute(_TRY_AGAIN, mail.id, mail.attempt, reason, pause)


async def forget(tx: Transaction, age: timedelta, limit: int) -> None:
    """Delete mails that are older than that, as many at most."""
    await tx.execute(_FORGET, age, limit)
