"""What the pages of organizations say of them."""

from decimal import Decimal
from typing import Final

from app.admin.organizations.queries import Given, ShownOrganization

# Rank: the shape of the state, its words, and its name in an address.
STATES: Final = (
    ("bad", "Out of credits", "out"),
    ("look", "Low on credits", "low"),
    ("look", "Many failures", "failures"),
    ("off", "No subscription", "off"),
    ("ok", "Active", "active"),
)


def rank_of(name: str | None) -> int | None:
    """The rank of a state's name in an address; None for any other text."""
    return next((rank for rank, state in enumerate(STATES) if state[2] == name), None)


def lasts(shown: ShownOrganization) -> str | None:
    """How long the available credits last at the rate of the last 30 days."""
    if shown.spent <= 0 or shown.available <= 0:
        return None
    days = shown.available * 30 / shown.spent
    if days > 365:
        return "Lasts over a year at this rate"
    if days < 1:
        return "Lasts less than a day at this rate"
    return f"Lasts about {days:.0f} {'day' if round(days) == 1 else 'days'} at this rate"


def author_of(given: Given) -> str:
    """Who has granted or adjusted."""
    if given.email:
        return given.email
    return {"command_line": "command line", "server": "by itself"}.get(given.actor_kind or "", "")


def after_change(available: Decimal, amount: Decimal | None) -> Decimal | None:
    """What would be available after a change; None if there is no amount yet."""
    return None if amount is None else available + amount
