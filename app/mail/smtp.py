"""The one adapter to mail servers, over SMTP."""

import asyncio
from email.message import EmailMessage
from email.utils import formatdate, parseaddr
from urllib.parse import unquote, urlsplit

import aiosmtplib

from app.core.settings import Settings
from app.core.trust import tls_context
from app.mail.errors import MailRefusedError, MailServerError

# For the whole of one mail, from the connection to the answer.
_SECONDS = 20.0
_SMTPS_PORT, _SUBMISSION_PORT = 465, 587
# SMTP's permanent refusals.
_REFUSALS = range(500, 600)


class SmtpSender:
    """Sends mails through one server, each over a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        parts = urlsplit(settings.smtp_url.get_secret_value())
        self._is_tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or (_SMTPS_PORT if self._is_tls else _SUBMISSION_PORT)
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._from = settings.mail_from
        self._domain = parseaddr(self._from)[1].rpartition("@")[2]
        self._context = tls_context(settings.own_authorities)
        self._context.set_alpn_protocols([])

    async def send(self, mail_id: str, recipient: str, subject: str, body: str) -> None:
        """Send a mail; see `app.mail.service.MailSender`."""
        if parseaddr(recipient)[1] != recipient:
            # Such as one with a comma, which would be read as several.
            raise MailRefusedError("not one plain address")
        try:
            message = self._message(mail_id, recipient, subject, body)
        except ValueError as error:
            raise MailRefusedError(f"no mail can have such a header: {error}") from error
        await self._deliver(message)

    def _message(self, mail_id: str, recipient: str, subject: str, body: str) -> EmailMessage:
        message = EmailMessage()
        message["From"] = self._from
        message["To"] = recipient
        message["Subject"] = subject
        message["Date"] = formatdate()
        message["Message-ID"] = f"<junis-{mail_id}@{self._domain}>"
        # So that nobody's holiday notice comes back.
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body)
        return message

    async def _deliver(self, message: EmailMessage) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._send(message)
        except TimeoutError:
            raise MailServerError(f"{self._host}:{self._port}: no answer within {_SECONDS:.0f} s") from None
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
            raise _refusal(error) from error
        except (aiosmtplib.SMTPException, OSError) as error:
            raise MailServerError(f"{self._host}:{self._port}: {error}") from error

    async def _send(self, message: EmailMessage) -> None:
        await aiosmtplib.send(
            message,
            hostname=self._host,
            port=self._port,
            username=self._user,
            password=self._password,
            use_tls=self._is_tls,
            # A password is never sent in the clear. Without one, TLS is used if the server offers it.
            start_tls=None if self._is_tls or self._user is None else True,
            tls_context=self._context,
            timeout=_SECONDS,
        )


def open_sender(settings: Settings) -> SmtpSender | None:
    """What sends mails, if a server is set."""
    return SmtpSender(settings) if settings.sends_mail else None


def _refusal(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> Exception:
    """What a refusal of the address or of the text means. Other refusals are the operator's to mend."""
    answer = error.recipients[0] if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else error
    reason = f"{answer.code} {answer.message}"
    return MailRefusedError(reason) if answer.code in _REFUSALS else MailServerError(reason)
