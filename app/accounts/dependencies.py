"""What signing in keeps in the memory of a process."""

from typing import Annotated

from fastapi import Depends, Request

from app.accounts.passwords import Passwords
from app.accounts.throttle import WaitingAttempts


async def get_passwords(request: Request) -> Passwords:
    """The checks of passwords of this process."""
    passwords: Passwords = request.app.state.passwords
    return passwords


async def get_waiting_attempts(request: Request) -> WaitingAttempts:
    """The attempts to sign in that wait in this process."""
    waiting: WaitingAttempts = request.app.state.waiting_attempts
    return waiting


PasswordsDep = Annotated[Passwords, Depends(get_passwords)]
WaitingAttemptsDep = Annotated[WaitingAttempts, Depends(get_waiting_attempts)]
