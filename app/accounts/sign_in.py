"""From an address and a password to a session."""

import secrets
from dataclasses import dataclass, replace

from app.accounts import repository
from app.accounts.passwords import Passwords
from app.accounts.signed_in import Browser, NewSession, Refused
from app.accounts.throttle import Failures, WaitingAttempts
from app.core.crypto import sha256
from app.core.database import Database, Transaction
from app.organizations import service as organizations

# The wait doubles with each failure, and has reached its limit long before.
_COUNTED_BEYOND = 10


@dataclass(frozen=True)
class _Claim:
    """Who somebody claims to be, and what is known of the attempt. Without a user there is nobody of that address."""

    attempt_id: int
    user_id: str | None
    password_hash: str | None
    failures: Failures


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
    passwords.require_room()
    async with database.transaction() as tx:
        claim = await _claim(tx, email.strip(), browser, waiting.address_limit)
    failures = claim.failures
    lane = browser.address if failures.device is None else f"device {browser.device}"
    await waiting.wait(lane, failures.delay_seconds)
    if not await passwords.is_right(password, claim.password_hash) or claim.user_id is None:
        counted = replace(
            failures,
            account=failures.account + 1,
            address=failures.address + 1,
            device=None if failures.device is None else failures.device + 1,
        )
        return Refused(counted.tries_left, counted.delay_seconds)
    renewed = None
    if claim.password_hash and passwords.needs_rehash(claim.password_hash):
        renewed = await passwords.hashed(password)
    async with database.transaction() as tx:
        return await _begin(tx, claim, claim.user_id, browser, renewed)


async def begin_session(tx: Transaction, user_id: str, browser: Browser) -> NewSession:
    """Begin a session of somebody who has proven to be the user. Its token is a new one, whatever the browser sent."""
    token = secrets.token_urlsafe(32)
    session_id = await repository.add_session(tx, user_id, sha256(token), browser)
    return NewSession(session_id, user_id, token)


async def _claim(tx: Transaction, email: str, browser: Browser, address_limit: int) -> _Claim:
    email_hash = sha256(email.lower())
    user = await organizations.find_user(tx, email) if email else None
    failures = Failures(
        account=await repository.count_failures(tx, email_hash),
        address=await repository.count_failures_from(tx, browser.address, at_most=address_limit + _COUNTED_BEYOND),
        address_limit=address_limit,
    )
    device_hash = sha256(browser.device)
    if user is not None and await repository.is_known_device(tx, user.id, device_hash):
        failures = replace(failures, device=await repository.count_failures_of_device(tx, email_hash, device_hash))
    attempt_id = await repository.add_attempt(tx, email_hash, browser)
    return _Claim(attempt_id, user.id if user else None, user.password_hash if user else None, failures)


async def _begin(
    tx: Transaction, claim: _Claim, user_id: str, browser: Browser, renewed_hash: str | None
) -> NewSession | Refused:
    user = await organizations.get_user(tx, user_id, is_locked=True)
    if user.password_hash != claim.password_hash:
        # It was changed meanwhile, which ends everything that the old one has begun.
        return Refused(claim.failures.tries_left, claim.failures.delay_seconds)
    if renewed_hash is not None:
        organizations.renew_password_hash(user, renewed_hash)
    await repository.note_success(tx, claim.attempt_id)
    return await begin_session(tx, user_id, browser)
