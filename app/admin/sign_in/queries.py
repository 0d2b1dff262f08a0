"""Who looks at a page: one statement."""

from dataclasses import dataclass
from decimal import Decimal

from app.accounts.repository import is_open
from app.accounts.signed_in import ABSOLUTE_END, IDLE_END
from app.core.database import Transaction
from app.credits.alerts import CROSSED_SQL

_FIND = f"""
SELECT s.id AS session_id, s.organization_id AS chosen_id, s.last_seen_at < now() - interval '1 minute' AS is_old,
       u.id AS user_id, u.email, u.name, u.is_operator,
       o.id AS organization_id, o.name AS organization_name, o.plan_name, m.role,
       coalesce(a.balance - a.held, 0) AS available, {CROSSED_SQL.format(account="a")} AS crossed
FROM console_sessions s JOIN users u ON u.id = s.user_id
LEFT JOIN memberships m ON m.user_id = u.id AND m.suspended_at IS NULL
LEFT JOIN organizations o ON o.id = m.organization_id
LEFT JOIN credit_accounts a ON a.organization_id = o.id
WHERE s.token_hash = $1 AND {is_open("s", "$2", "$3")}
ORDER BY o.name, o.id
"""


@dataclass(frozen=True)
class SeenMembership:
    """An organization that the reader is a member of."""

    organization_id: str
    name: str
    plan_name: str
    role: str
    available: Decimal
    crossed: Decimal | None


@dataclass(frozen=True)
class SeenSession:
    """A session that has not ended, with its user and what the user is a member of, by name.

    `is_old` says that its last use was noted more than a minute ago.
    """

    session_id: str
    user_id: str
    email: str
    name: str | None
    is_operator: bool
    chosen_id: str | None
    is_old: bool
    memberships: tuple[SeenMembership, ...]


async def find_session(tx: Transaction, token_hash: bytes) -> SeenSession | None:
    """The session with that token, unless it has ended."""
    rows = await tx.fetch(_FIND, token_hash, IDLE_END, ABSOLUTE_END)
    if not rows:
        return None
    of_session = ("session_id", "user_id", "email", "name", "is_operator", "chosen_id", "is_old")
    memberships = tuple(
        SeenMembership(
            row["organization_id"],
            row["organization_name"],
            row["plan_name"],
            row["role"],
            row["available"],
            row["crossed"],
        )
        for row in rows
        if row["organization_id"] is not None
    )
    return SeenSession(**{name: rows[0][name] for name in of_session}, memberships=memberships)
