"""Checks and hashes passwords, off the event loop and a few at once: one takes 64 MB and a core for a while."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from app.accounts.errors import SignInBusyError, WeakPasswordError
from app.core.metrics import PASSWORD_CHECKS

LEAST_PASSWORD = 12
# Nobody types more, and each character is work for strangers to give us.
MOST_PASSWORD = 512
_AT_ONCE = 2
_MOST_WAITING = 30
_RETRY_AFTER_SECONDS = 5

_T = TypeVar("_T")


def check_new_password(password: str) -> None:
    """Refuse a password that is too short, too long, or one and the same character.

    Raises:
        WeakPasswordError: it is; the text says what is allowed.
    """
    if len(password) < LEAST_PASSWORD:
        raise WeakPasswordError(f"Enter {LEAST_PASSWORD} characters or more.")
    if len(password) > MOST_PASSWORD:
        raise WeakPasswordError(f"Enter {MOST_PASSWORD} characters at most.")
    if len(set(password)) < 4:
        raise WeakPasswordError("Enter at least 4 different characters.")


class Passwords:
    """The checks of one process: two at once, and a limited number that wait for them."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        # Threads of its own: whoever gives up waiting does not make room for a third one.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
        self._in_line = 0
        self._dummy: str | None = None

    def require_room(self) -> None:
        """Make sure that not too many wait already.

        Raises:
            SignInBusyError: they do.
        """
        if self._in_line >= _AT_ONCE + _MOST_WAITING:
            raise SignInBusyError(retry_after=_RETRY_AFTER_SECONDS)

    async def is_right(self, password: str, password_hash: str | None) -> bool:
        """Whether the password is the one of the hash.

        Without a hash it takes as long and is never right, so that nobody can tell which users there are.

        Raises:
            SignInBusyError: too many wait already.
        """
        return await self._run(lambda: self._verify(password[:MOST_PASSWORD], password_hash))

    async def hashed(self, password: str) -> str:
        """The Argon2id hash of a password.

        Raises:
            SignInBusyError: too many wait already.
        """
        return await self._run(lambda: self._hasher.hash(password))

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether the hash was made with parameters that are no longer used."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Start no further checks."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password: str, password_hash: str | None) -> bool:
        PASSWORD_CHECKS.inc()
        # Whoever comes first waits for it, known or not.
        dummy = self._dummy = self._dummy or self._hasher.hash("of nobody")
        try:
            self._hasher.verify(password_hash or dummy, password)
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    async def _run(self, action: Callable[[], _T]) -> _T:
        self.require_room()
        self._in_line += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, action)
        finally:
            self._in_line -= 1


@asynccontextmanager
async def open_passwords() -> AsyncIterator[Passwords]:
    """The checks of a process, for as long as the block runs."""
    passwords = Passwords()
    try:
        yield passwords
    finally:
        passwords.close()
