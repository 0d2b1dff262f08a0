"""One-time links, by which users set their first password, or another one if they have lost it."""

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from app.accounts import repository
from app.accounts.errors import UnusableLinkError
from app.accounts.passwords import Passwords, check_new_password
from app.accounts.sign_in import begin_session
from app.accounts.signed_in import Browser, NewSession
from app.audit.actor import Actor, ActorKind
from app.audit.service import log_change
from app.core.crypto import sha256
from app.core.database import Database, Transaction
from app.organizations import service as organizations
from app.organizations.models import User

_WORKS_FOR = timedelta(hours=24)

_USABLE = "token_hash = $1 AND used_at IS NULL AND expires_at > now()"


@dataclass(frozen=True)
class NewLink:
    """A link that was just made. Its token cannot be found out later."""

    token: str = field(repr=False)
    expires_at: datetime


async def make_link(tx: Transaction, user: User, *, actor: Actor) -> NewLink:
    """Make a link for a user. It works once, for a day; those made before work no longer."""
    token = secrets.token_urlsafe(32)
    await tx.execute(
        "UPDATE one_time_links SET expires_at = now() WHERE user_id = $1 AND used_at IS NULL AND expires_at > now()",
        user.id,
    )
    expires_at: datetime = await tx.fetchval(
        "INSERT INTO one_time_links (token_hash, user_id, expires_at) VALUES ($1, $2, now() + $3::interval)"
        " RETURNING expires_at",
        sha256(token),
        user.id,
        _WORKS_FOR,
    )
    after = {"name": user.email, "expires_at": expires_at.isoformat()}
    log_change(tx, actor, "one_time_link_made", object_id=user.id, after=after)
    return NewLink(token, expires_at)


async def find_user_of_link(tx: Transaction, token: str) -> User:
    """Whom a link is for.

    Raises:
        UnusableLinkError: it was used, replaced by another one, or has ended; or there never was one.
    """
    user_id = await tx.fetchval(f"SELECT user_id FROM one_time_links WHERE {_USABLE}", sha256(token))
    if user_id is None:
        raise UnusableLinkError
    return await organizations.get_user(tx, user_id)


async def use_link(
    database: Database, passwords: Passwords, *, token: str, password: str, browser: Browser
) -> NewSession:
    """Set the password of the user whom the link is for, end all of the user's sessions and begin a new one.

    Raises:
        UnusableLinkError: see `find_user_of_link`.
        WeakPasswordError: the password is too short or too long.
        SignInBusyError: more passwords are to be hashed than can be.
    """
    async with database.transaction() as tx:
        await find_user_of_link(tx, token)
    check_new_password(password)
    password_hash = await passwords.hashed(password)
    async with database.transaction() as tx:
        # Of two requests at once, one finds it unused.
        user_id = await tx.fetchval(
            f"UPDATE one_time_links SET used_at = now() WHERE {_USABLE} RETURNING user_id", sha256(token)
        )
        if user_id is None:
            raise UnusableLinkError
        user = await organizations.get_user(tx, user_id, is_locked=True)
        organizations.set_password_hash(tx, user, password_hash, actor=Actor(ActorKind.USER, user_id))
        await repository.end_sessions(tx, user_id)
        return await begin_session(tx, user_id, browser)
