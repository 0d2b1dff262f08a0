"""What signed-in users do with their account and their sessions."""

from collections.abc import Sequence

from app.accounts import repository
from app.accounts.errors import NoSignedInSessionError, WrongPasswordError
from app.accounts.passwords import Passwords, check_new_password
from app.accounts.sign_in import confirm
from app.accounts.signed_in import Account, OpenSession, PastAttempt, TypedPassword
from app.accounts.throttle import WaitingAttempts
from app.audit.actor import Actor, ActorKind
from app.audit.service import log_change
from app.core.crypto import sha256
from app.core.database import Database, Transaction
from app.organizations import profiles
from app.organizations import service as organizations
from app.organizations.errors import OrganizationNotFoundError
from app.organizations.models import User

_ATTEMPTS_SHOWN = 6


async def sign_out(tx: Transaction, token: str) -> None:
    """End the session with that token, for whoever has a copy of it. There may be none."""
    await repository.end_session_of_token(tx, sha256(token))


async def note_seen(tx: Transaction, session_id: str, address: str) -> None:
    """Note that a session is used now, and from where."""
    await repository.note_seen(tx, session_id, address)


async def end_session(tx: Transaction, user_id: str, session_id: str) -> None:
    """End one of the user's sessions.

    Raises:
        NoSignedInSessionError: the user has no such session, or it has ended already.
    """
    if not await repository.end_session(tx, user_id, session_id):
        raise NoSignedInSessionError
    await _log(tx, Actor(ActorKind.USER, user_id), "sign_in_ended", user_id)


async def end_all_sessions(tx: Transaction, user_id: str, *, but: str | None = None, actor: Actor) -> int:
    """End all of the user's sessions, except perhaps one; returns how many there were."""
    ended = await repository.end_sessions(tx, user_id, but=but)
    if ended:
        await _log(tx, actor, "sign_ins_ended", user_id)
    return ended


async def list_sessions(tx: Transaction, user_id: str) -> Sequence[OpenSession]:
    """The user's sessions that have not ended, the last used first."""
    return await repository.list_open_sessions(tx, user_id)


async def list_attempts(tx: Transaction, email: str) -> Sequence[PastAttempt]:
    """The last few attempts to sign in with that address, newest first."""
    return await repository.list_attempts(tx, sha256(email.lower()), _ATTEMPTS_SHOWN)


async def choose_organization(tx: Transaction, user_id: str, session_id: str, organization_id: str) -> None:
    """Let the session show another one of the user's organizations.

    Raises:
        OrganizationNotFoundError: the user is no member of it, or is suspended there.
    """
    if not await repository.choose_organization(tx, user_id, session_id, organization_id):
        raise OrganizationNotFoundError


async def change_password(
    database: Database,
    passwords: Passwords,
    waiting: WaitingAttempts,
    typed: TypedPassword,
    *,
    session_id: str,
    new: str,
) -> int:
    """Change the user's password and end all sessions but this one; returns how many were ended.

    Raises:
        WrongPasswordError: the present password is not the user's.
        WeakPasswordError: the new one is too short or too long.
        SignInBusyError, SignInSlowedError: see `confirm`.
    """
    check_new_password(new)
    known_hash = await confirm(database, passwords, waiting, typed)
    new_hash = await passwords.hashed(new)
    actor = Actor(ActorKind.USER, typed.user_id)
    async with database.transaction() as tx:
        user = await _unchanged(tx, typed.user_id, known_hash)
        organizations.set_password_hash(tx, user, new_hash, actor=actor)
        return await end_all_sessions(tx, user.id, but=session_id, actor=actor)


async def change_email(
    database: Database, passwords: Passwords, waiting: WaitingAttempts, typed: TypedPassword, *, email: str
) -> None:
    """Give the user another address to sign in with.

    Raises:
        WrongPasswordError: the password is not the user's.
        InvalidRequestError: it is no email address, or another user's.
        SignInBusyError, SignInSlowedError: see `confirm`.
    """
    known_hash = await confirm(database, passwords, waiting, typed)
    async with database.transaction() as tx:
        user = await _unchanged(tx, typed.user_id, known_hash)
        await profiles.change_email(tx, user, email, actor=Actor(ActorKind.USER, user.id))


async def list_accounts(tx: Transaction) -> Sequence[Account]:
    """All users by their address."""
    return await repository.list_accounts(tx)


async def _unchanged(tx: Transaction, user_id: str, password_hash: str) -> User:
    """The user, locked, if the password is still the one that was checked."""
    user = await organizations.get_user(tx, user_id, is_locked=True)
    if user.password_hash != password_hash:
        raise WrongPasswordError
    return user


async def _log(tx: Transaction, actor: Actor, event: str, user_id: str) -> None:
    user = await organizations.get_user(tx, user_id)
    log_change(tx, actor, event, object_id=user_id, after={"name": user.email})
