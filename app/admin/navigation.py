"""The places of the console, in the order of its navigation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """One entry of the navigation.

    Attributes:
        name: what pages give as `here`, and the name of its symbol.
        path: its address below the console's.
        label: what it is called.
    """

    name: str
    path: str
    label: str


WORK = (
    Place("playground", "playground", "Playground"),
    Place("agents", "agents", "Agents"),
    Place("sessions", "sessions", "Sessions"),
    Place("content", "content", "Content"),
)
CREDITS = (Place("usage", "usage", "Usage"), Place("ledger", "ledger", "Ledger"))
ACCESS = (
    Place("keys", "keys", "API Keys"),
    Place("webhooks", "webhooks", "Webhooks"),
    Place("members", "members", "Members"),
    Place("audit", "audit", "Audit log"),
)
OPERATOR = (
    Place("organizations", "organizations", "Organizations"),
    Place("plans", "plans", "Plans"),
    Place("catalog", "catalog", "Catalog and prices"),
    Place("system", "system", "System"),
)
