"""Mail servers: real ones, on free ports of this machine."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from devstack.ports import free_port


@dataclass
class Mailbox:
    """What a server has taken, and what it answers.

    Attributes:
        mails: what it has taken.
        recipients: for each of them, whom it was for, as the client has said apart from the text.
        answers: to the next mails' texts, one after the other; it takes those after them.
        refused: addresses that it does not know.
        passwords: what clients have signed in with, and whether that was over TLS.
    """

    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    refused: Sequence[str] = ()
    passwords: list[tuple[str, str, bool]] = field(default_factory=list)
    port: int = 0

    def to(self, address: str) -> list[EmailMessage]:
        """The mails to an address."""
        return [mail for mail in self.mails if mail["To"] == address]

    async def handle_RCPT(  # noqa: N802 - the names and arguments are aiosmtpd's
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        if self.answers:
            return self.answers.pop(0)
        assert isinstance(envelope.content, bytes)
        self.recipients.append(envelope.rcpt_tos)
        self.mails.append(message_from_bytes(envelope.content, _class=EmailMessage, policy=policy.default))
        return "250 OK"

    def authenticate(
        self, _server: SMTP, session: Session, _envelope: Envelope, _mechanism: str, data: LoginPassword
    ) -> AuthResult:
        self.passwords.append((data.login.decode(), data.password.decode(), session.ssl is not None))
        return AuthResult(success=data.password == b"p@ss/word", handled=False)


@asynccontextmanager
async def mail_server(context: ssl.SSLContext | None = None) -> AsyncIterator[Mailbox]:
    """A server that takes every mail; with a context it offers STARTTLS, and wants a password then."""
    mailbox = Mailbox(port=free_port())
    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=mailbox.port,
        authenticator=mailbox.authenticate,
        auth_require_tls=context is not None,
        auth_required=context is not None,
        tls_context=context,
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()
