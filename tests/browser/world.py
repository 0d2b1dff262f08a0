"""What the pages of the console are looked at with: an organization, its members, and browsers signed in as them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from app.core.database import Database
from tests.conftest import Stack
from tests.factories import Organization


@dataclass(frozen=True)
class World:
    """What a case may use to make the data that its pages show.

    Attributes:
        stack: the running product.
        database: the run's database.
        organization: the organization that the pages show. Its owner is an operator.
        emails: the address of a member of each role.
    """

    stack: Stack
    database: Database
    organization: Organization
    emails: dict[str, str]


@dataclass(frozen=True)
class Case:
    """A page in one state.

    Attributes:
        name: of its screenshots.
        path: its address below the console's, such as `/keys`.
        as_role: who looks: owner, admin, member, viewer, or nobody.
    """

    name: str
    path: str
    as_role: str = "owner"


class Cases(Protocol):
    """What each module in `tests.browser.cases` has."""

    pages: Callable[[World], Awaitable[list[Case]]]
