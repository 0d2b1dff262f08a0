"""From an address and a password to a session."""

import secrets
from dataclasses import dataclass, replace

from app.accounts import repository
from app.accounts.errors import WrongPasswordError
from app.accounts.passwords import Passwords
from app.accounts.signed_in import Browser, NewSession, Refused, TypedPassword
from app.accounts.throttle import Failures, WaitingAttempts
from app.core.crypto import sha256
from app.core.database import Database, Transaction
from app.organizations import profiles
from app.organizations import service as organizations

# The wait doubles with each failure, and has reached its limit long before.
_COUNTED_BEYOND = 10


@dataclass(frozen=True)
class _Claim:
    """An attempt with the right password: who it was, and the hash that the password had."""

    attempt_id: int
    user_id: str
    password_hash: str


async def sign_in(
    database: Database, passwords: Passwords, waiting: WaitingAttempts, *, email: str, password: str, browser: Browser
) -> NewSession | Refused:
    """Begin a session, if the password is the user's.

    After a few failures an attempt waits before its password is looked at. It is never refused for that: whoever has
    the right password gets in.

    Raises:
        SignInBusyError: more passwords are to be checked than can be.
        SignInSlowedError: too many attempts of the same address wait already.
    """
    claim = await _check(database, passwords, waiting, email=email, password=password, browser=browser)
    if isinstance(claim, Refused):
        return claim
    renewed = await passwords.hashed(password) if passwords.needs_rehash(claim.password_hash) else None
    async with database.transaction() as tx:
        return await _begin(tx, claim, browser, renewed)


async def confirm(database: Database, passwords: Passwords, waiting: WaitingAttempts, typed: TypedPassword) -> str:
    """Make sure that somebody who is signed in is still the user; returns the hash that the password has.

    Attempts count as those to sign in: a session that was left open is no way to guess faster.

    Raises:
        WrongPasswordError: it is not the user's password.
        SignInBusyError: more passwords are to be checked than can be.
        SignInSlowedError: too many attempts of the same browser wait already.
    """
    claim = await _check(
        database, passwords, waiting, email=typed.email, password=typed.password, browser=typed.browser
    )
    if isinstance(claim, Refused) or claim.user_id != typed.user_id:
        raise WrongPasswordError
    async with database.transaction() as tx:
        await repository.forget_attempt(tx, claim.attempt_id)
    return claim.password_hash


async def begin_session(tx: Transaction, user_id: str, browser: Browser) -> NewSession:
    """Begin a session of somebody who has proven to be the user. Its token is a new one, whatever the browser sent."""
    token = secrets.token_urlsafe(32)
    session_id = await repository.add_session(tx, user_id, sha256(token), browser)
    return NewSession(session_id, user_id, token)


async def _check(
    database: Database, passwords: Passwords, waiting: WaitingAttempts, *, email: str, password: str, browser: Browser
) -> _Claim | Refused:
    """The claim of an attempt whose password is right, after the wait that earlier failures ask for."""
    passwords.require_room()
    async with database.transaction() as tx:
        user = await organizations.find_user(tx, email.strip()) if email.strip() else None
        user_id, password_hash = (user.id, user.password_hash) if user else (None, None)
        failures = await _failures(tx, email.strip(), user_id, browser, waiting.address_limit)
        attempt_id = await repository.add_attempt(tx, _hash_of(email), browser)
    lane = browser.address if failures.device is None else f"device {browser.device}"
    await waiting.wait(lane, failures.delay_seconds)
    if not await passwords.is_right(password, password_hash) or user_id is None or password_hash is None:
        counted = failures.with_one_more()
        return Refused(counted.tries_left, counted.delay_seconds)
    return _Claim(attempt_id, user_id, password_hash)


async def _failures(tx: Transaction, email: str, user_id: str | None, browser: Browser, address_limit: int) -> Failures:
    email_hash, device_hash = _hash_of(email), sha256(browser.device)
    failures = Failures(
        account=await repository.count_failures(tx, email_hash),
        address=await repository.count_failures_from(tx, browser.address, at_most=address_limit + _COUNTED_BEYOND),
        address_limit=address_limit,
    )
    # Asked for unknown users too, so that they take no less time.
    if not await repository.is_known_device(tx, user_id or "", device_hash):
        return failures
    return replace(failures, device=await repository.count_failures_of_device(tx, email_hash, device_hash))


def _hash_of(email: str) -> bytes:
    return sha256(email.strip().lower())


async def _begin(tx: Transaction, claim: _Claim, browser: Browser, renewed_hash: str | None) -> NewSession | Refused:
    user = await organizations.get_user(tx, claim.user_id, is_locked=True)
    if user.password_hash != claim.password_hash:
        # It was changed meanwhile, which ends everything that the old one has begun.
        return Refused(tries_left=0, delay_seconds=0)
    if renewed_hash is not None:
        profiles.renew_password_hash(user, renewed_hash)
    await repository.note_success(tx, claim.attempt_id)
    return await begin_session(tx, claim.user_id, browser)
