"""The mail that brings an invitation. It has the link in it, so it is sent at once and kept nowhere."""

import asyncio
import logging
from typing import Final

from app.accounts.invitations import NewInvitation
from app.mail.errors import MailRefusedError, MailServerError
from app.mail.service import MailSender

logger = logging.getLogger(__name__)

# The page of whoever invites waits for it.
_SECONDS: Final = 10.0


async def send_invitation(sender: MailSender, made: NewInvitation, *, url: str, organization: str, by: str) -> bool:
    """Mail an invitation that was stored; returns whether the server has taken it. It is tried once.

    Args:
        sender: the mail server.
        made: the invitation.
        url: its link.
        organization: the name of where to.
        by: the address of who invites.
    """
    try:
        async with asyncio.timeout(_SECONDS):
            await sender.send(made.id, made.email, subject(organization), body(made, url, organization, by))
    except (MailRefusedError, MailServerError, TimeoutError) as error:
        reason = str(error) or f"no response within {_SECONDS:.0f} s"
        logger.warning("invitation_not_mailed", extra={"invitation_id": made.id, "reason": reason})
        return False
    logger.info("invitation_mailed", extra={"invitation_id": made.id})
    return True


def subject(organization: str) -> str:
    """The subject, in one line whatever the organization is called."""
    return " ".join(f"You are invited to {organization}".split())


def body(made: NewInvitation, url: str, organization: str, by: str) -> str:
    """The text: who invites as what, the link, and how long it works."""
    article = "an" if made.role.value[0] in "ao" else "a"
    ends = made.expires_at
    return f"""\
{by} invites you to become {article} {made.role.value} of {" ".join(organization.split())}.

To accept, open this page:
{url}

It works once, until {ends.day} {ends:%B %Y, %H:%M} UTC, and only for {made.email}. Do not pass it on.
If you expect no invitation, you need not do anything.
"""
