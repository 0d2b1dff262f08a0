"""Users who can sign in to the console, and browsers of theirs that have done so.

A password takes a quarter of a second of a processor to hash, and as long to check. So users share one hash, and a
session that is not what a test is about begins without its page: with what the page itself stores and sets.
"""

from functools import cache
from typing import Final

from argon2 import PasswordHasher

from app.accounts.sign_in import begin_session
from app.accounts.signed_in import Browser
from app.admin.sign_in.cookies import DEVICE_COOKIE, SESSION_COOKIE, new_token
from app.audit.actor import COMMAND_LINE
from app.core.database import Database, Transaction
from app.organizations import service as organizations
from app.organizations.models import User

PASSWORD: Final = "correct horse battery staple"


@cache
def _password_hash() -> str:
    return PasswordHasher().hash(PASSWORD)


def let_sign_in(tx: Transaction, user: User) -> None:
    """Give the user the tests' password."""
    organizations.set_password_hash(tx, user, _password_hash(), actor=COMMAND_LINE)


async def cookies_after_sign_in(database: Database, user_id: str) -> dict[str, str]:
    """The cookies, for the console's path, of a browser in which the user has just signed in."""
    device = new_token()
    async with database.transaction() as tx:
        session = await begin_session(tx, user_id, Browser("127.0.0.1", "a browser of the tests", device))
    return {SESSION_COOKIE: session.token, DEVICE_COOKIE: device}
