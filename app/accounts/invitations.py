"""Invitations: a link, handed on by whoever has made it, by which somebody becomes a member."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from app.accounts.errors import InvitationOfAnotherError, UnusableLinkError
from app.accounts.passwords import Passwords, check_new_password
from app.accounts.sign_in import begin_session
from app.accounts.signed_in import Browser, NewSession
from app.audit.actor import Actor, ActorKind
from app.audit.service import log_change
from app.core.crypto import new_id, sha256
from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError
from app.organizations import profiles
from app.organizations import service as organizations
from app.organizations.members import is_member, lock_members, require_manager
from app.organizations.models import MembershipRole, User

_WORKS_FOR = timedelta(days=7)
_MOST_SHOWN = 200
# Of the mails that one organization has sent in a day, to one address and to all: nobody can be pestered through it.
_MOST_MAILS_TO_ONE = 3
_MOST_MAILS = 100

_OPEN = "accepted_at IS NULL AND withdrawn_at IS NULL"


@dataclass(frozen=True)
class NewInvitation:
    """An invitation that was just made. Its token cannot be found out later.

    Attributes:
        id: the row.
        token: what the link ends with.
        email: who is invited.
        role: as what.
        expires_at: when the link stops working.
        may_be_mailed: whether the organization has made so few invitations lately that this one may be mailed.
    """

    id: str
    token: str = field(repr=False)
    email: str
    role: MembershipRole
    expires_at: datetime
    may_be_mailed: bool


@dataclass(frozen=True)
class Invitation:
    """An invitation as those see it who manage the organization, or who are invited.

    Attributes:
        id: the row.
        organization_id: where to.
        organization_name: where to.
        email: who is invited.
        role: as what.
        invited_by: the address of who has invited.
        created_at: when.
        expires_at: when the link stops working.
        is_expired: whether it works no longer.
    """

    id: str
    organization_id: str
    organization_name: str
    email: str
    role: MembershipRole
    invited_by: str
    created_at: datetime
    expires_at: datetime
    is_expired: bool


_READ = """
SELECT i.id, i.organization_id, o.name AS organization_name, i.email, i.role, u.email AS invited_by, i.created_at,
       i.expires_at, i.expires_at <= now() AS is_expired
FROM invitations i JOIN organizations o ON o.id = i.organization_id JOIN users u ON u.id = i.invited_by
"""


async def invite(
    tx: Transaction, organization_id: str, *, email: str, role: MembershipRole, actor: Actor
) -> NewInvitation:
    """Invite somebody. The link works once, for 7 days; an earlier invitation of the same address is withdrawn.

    Raises:
        MemberRuleError: whoever asks may not invite, or may not make an owner.
        InvalidRequestError: it is not an email address, or a member's.
    """
    await lock_members(tx, organization_id)
    await require_manager(tx, organization_id, actor, new_role=role)
    if not organizations.is_email(email):
        raise InvalidRequestError("Enter an e-mail address such as mina@example.com.")
    user = await organizations.find_user(tx, email)
    if user is not None and await is_member(tx, organization_id, user.id):
        raise InvalidRequestError(f"{user.email} is a member already.")
    await tx.execute(
        "UPDATE invitations SET withdrawn_at = now()"
        f" WHERE organization_id = $1 AND lower(email) = lower($2) AND {_OPEN}",
        organization_id,
        email,
    )
    token, invitation_id = secrets.token_urlsafe(32), new_id("invitation")
    expires_at: datetime = await tx.fetchval(
        "INSERT INTO invitations (id, organization_id, email, role, token_hash, invited_by, expires_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, now() + $7::interval) RETURNING expires_at",
        invitation_id,
        organization_id,
        email,
        role.value,
        sha256(token),
        actor.id,
        _WORKS_FOR,
    )
    after = {"name": email, "role": role.value, "expires_at": expires_at.isoformat()}
    log_change(tx, actor, "member_invited", organization_id=organization_id, object_id=invitation_id, after=after)
    return NewInvitation(
        invitation_id, token, email, role, expires_at, await _may_be_mailed(tx, organization_id, email)
    )


async def _may_be_mailed(tx: Transaction, organization_id: str, email: str) -> bool:
    """Whether the last invitation, which counts too, is one of those that may be mailed."""
    row = await tx.fetchrow(
        "SELECT count(*) AS all_of_them, count(*) FILTER (WHERE lower(email) = lower($2)) AS to_one FROM invitations"
        " WHERE organization_id = $1 AND created_at > now() - interval '1 day'",
        organization_id,
        email,
    )
    return row is not None and row["all_of_them"] <= _MOST_MAILS and row["to_one"] <= _MOST_MAILS_TO_ONE


async def renew(tx: Transaction, organization_id: str, invitation_id: str, *, actor: Actor) -> NewInvitation:
    """Invite the same person again by another link. The one before works no longer.

    Raises:
        UnusableLinkError: the organization has no such open invitation.
        MemberRuleError: whoever asks may not.
    """
    row = await tx.fetchrow(
        f"SELECT email, role FROM invitations WHERE organization_id = $1 AND id = $2 AND {_OPEN}",
        organization_id,
        invitation_id,
    )
    if row is None:
        raise UnusableLinkError
    return await invite(tx, organization_id, email=row["email"], role=MembershipRole(row["role"]), actor=actor)


async def withdraw(tx: Transaction, organization_id: str, invitation_id: str, *, actor: Actor) -> str:
    """Let an invitation's link work no longer; returns the address that was invited.

    Raises:
        UnusableLinkError: the organization has no such open invitation.
        MemberRuleError: whoever asks may not.
    """
    await require_manager(tx, organization_id, actor)
    email: str | None = await tx.fetchval(
        "UPDATE invitations SET withdrawn_at = now()"
        f" WHERE organization_id = $1 AND id = $2 AND {_OPEN} RETURNING email",
        organization_id,
        invitation_id,
    )
    if email is None:
        raise UnusableLinkError
    before = {"name": email}
    log_change(
        tx, actor, "invitation_withdrawn", organization_id=organization_id, object_id=invitation_id, before=before
    )
    return email


async def withdraw_invitations_of(tx: Transaction, organization_id: str, user_id: str) -> None:
    """Let no link work that a user has made, who might come back by one of them."""
    await tx.execute(
        f"UPDATE invitations SET withdrawn_at = now() WHERE organization_id = $1 AND invited_by = $2 AND {_OPEN}",
        organization_id,
        user_id,
    )


async def list_open(tx: Transaction, organization_id: str) -> Sequence[Invitation]:
    """The organization's invitations that are neither accepted nor withdrawn, newest first; some may have expired."""
    rows = await tx.fetch(
        f"{_READ} WHERE i.organization_id = $1 AND {_OPEN} ORDER BY i.created_at DESC LIMIT $2",
        organization_id,
        _MOST_SHOWN,
    )
    return [_invitation(row) for row in rows]


async def get_open(tx: Transaction, organization_id: str, invitation_id: str) -> Invitation:
    """One of the organization's invitations that are neither accepted nor withdrawn; it may have expired.

    Raises:
        UnusableLinkError: the organization has no such open invitation.
    """
    row = await tx.fetchrow(
        f"{_READ} WHERE i.organization_id = $1 AND i.id = $2 AND {_OPEN}",
        organization_id,
        invitation_id.replace("\0", ""),
    )
    if row is None:
        raise UnusableLinkError
    return _invitation(row)


async def find_invitation(tx: Transaction, token: str) -> Invitation:
    """The invitation that a link is for.

    Raises:
        UnusableLinkError: it was accepted, withdrawn, replaced by another one, or has ended; or there never was one.
    """
    row = await tx.fetchrow(
        f"{_READ} WHERE i.token_hash = $1 AND {_OPEN} AND i.expires_at > now()",
        sha256(token),
    )
    if row is None:
        raise UnusableLinkError
    return _invitation(row)


def _invitation(row: Any) -> Invitation:
    return Invitation(**{**dict(row), "role": MembershipRole(row["role"])})


async def accept(tx: Transaction, *, token: str, user_id: str) -> Invitation:
    """Make a user who is signed in the member that the invitation asks for.

    Raises:
        UnusableLinkError: see `find_invitation`.
        InvitationOfAnotherError: it is for another address than the user's.
    """
    user = await organizations.get_user(tx, user_id)
    return await _accept(tx, token, user)


async def accept_as_new(
    database: Database, passwords: Passwords, *, token: str, name: str | None, password: str, browser: Browser
) -> tuple[Invitation, NewSession]:
    """Make somebody a user and a member, and sign the user in.

    Only whoever has never had an account may set a password by this link: it was made by somebody who manages one
    organization, which is no proof of being a user who belongs to others too.

    Raises:
        UnusableLinkError: see `find_invitation`.
        InvitationOfAnotherError: there is a user with that address meanwhile.
        WeakPasswordError: the password is too short or too long.
        SignInBusyError: more passwords are to be hashed than can be.
    """
    async with database.transaction() as tx:
        await find_invitation(tx, token)
    check_new_password(password)
    password_hash = await passwords.hashed(password)
    async with database.transaction() as tx:
        invitation = await find_invitation(tx, token)
        if await organizations.find_user(tx, invitation.email) is not None:
            raise InvitationOfAnotherError
        user = await organizations.ensure_user(tx, invitation.email, actor=Actor(ActorKind.SERVER))
        own = Actor(ActorKind.USER, user.id)
        organizations.set_password_hash(tx, user, password_hash, actor=own)
        profiles.change_name(tx, user, name, actor=own)
        return await _accept(tx, token, user), await begin_session(tx, user.id, browser)


async def _accept(tx: Transaction, token: str, user: User) -> Invitation:
    invitation = await find_invitation(tx, token)
    if invitation.email.lower() != user.email.lower():
        raise InvitationOfAnotherError
    # Of two requests at once, one finds it open.
    accepted = await tx.fetchval(
        f"UPDATE invitations SET accepted_at = now() WHERE id = $1 AND {_OPEN} RETURNING id", invitation.id
    )
    if accepted is None:
        raise UnusableLinkError
    actor = Actor(ActorKind.USER, user.id)
    await organizations.add_member(
        tx, invitation.organization_id, user.id, invitation.role, actor=actor, event="invitation_accepted"
    )
    return invitation
