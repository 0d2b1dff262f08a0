"""The values that signing in deals with."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

# A session ends after so long without use, and in any case so long after its beginning.
IDLE_END = timedelta(hours=12)
ABSOLUTE_END = timedelta(days=30)


@dataclass(frozen=True)
class Browser:
    """Where an attempt to sign in comes from.

    Attributes:
        address: the client's address, as far as it can be known.
        user_agent: what the browser calls itself.
        device: a random token that the browser keeps for good. By it a browser is known that has signed in before.
    """

    address: str
    user_agent: str
    device: str = field(repr=False)


@dataclass(frozen=True)
class TypedPassword:
    """What somebody who is signed in types to confirm a change of the account."""

    user_id: str
    email: str
    password: str = field(repr=False)
    browser: Browser


@dataclass(frozen=True)
class NewSession:
    """A session that has just begun. The token cannot be found out later."""

    id: str
    user_id: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class Refused:
    """An attempt that was refused.

    Attributes:
        tries_left: how many further ones are not slowed down.
        delay_seconds: how long the next one waits.
    """

    tries_left: int
    delay_seconds: float


@dataclass(frozen=True)
class OpenSession:
    """A session that has not ended, as its user sees it in a list."""

    id: str
    address: str
    user_agent: str
    created_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True)
class PastAttempt:
    """An attempt to sign in, as its user sees it in a list."""

    at: datetime
    address: str
    has_succeeded: bool


@dataclass(frozen=True)
class Account:
    """A user, as an operator sees all of them in a list.

    Attributes:
        id: the user.
        email: the address to sign in with.
        is_operator: whether the user runs this server.
        has_password: whether the user can sign in. Without one, a one-time link is needed.
        organizations: the names of the user's organizations, with the role in each.
        last_seen_at: when the user last used the console; None for never, or long ago.
    """

    id: str
    email: str
    is_operator: bool
    has_password: bool
    organizations: str
    last_seen_at: datetime | None
