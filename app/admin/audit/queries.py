"""The log of changes as its page, its exports and other pages read it: newest first, by its indexes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.core.database import Transaction

_COLUMNS = """
SELECT e.*, u.email AS actor_email, o.name AS organization_name, owner.email AS object_email
FROM ({found}) e
LEFT JOIN users u ON e.actor_kind = 'user' AND u.id = e.actor_id
LEFT JOIN users owner ON e.object_name IS NULL AND owner.id = e.object_id
LEFT JOIN organizations o ON o.id = e.organization_id
ORDER BY e.at DESC, e.id DESC
"""


@dataclass(frozen=True)
class Change:
    """One row of the log.

    Attributes:
        at: when it was made.
        actor_kind: `user`, `command_line` or `server`.
        actor_id: the user, if it was one.
        actor_email: the user's address now.
        organization_id: the organization that it belongs to, if any.
        organization_name: its name now.
        event: what happened.
        object_id: what changed.
        object_name: what it was called.
        before: what was replaced, by name.
        after: what replaced it.
        source: the client's address, or the user and machine of a command.
        request_id: the request or command that made it.
    """

    at: datetime
    actor_kind: str
    actor_id: str | None
    actor_email: str | None
    organization_id: str | None
    organization_name: str | None
    event: str
    object_id: str | None
    object_name: str | None
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    source: str | None
    request_id: str | None


@dataclass(frozen=True)
class Wanted:
    """Which rows are wanted. None means any.

    Attributes:
        organization_id: those of one organization.
        actor: a user's id, `command_line` or `server`.
        events: those with one of these names.
        text: the exact id or name of what changed, or the id of a request.
        since: not before this moment.
        until: before this moment.
    """

    organization_id: str | None = None
    actor: str | None = None
    events: Sequence[str] | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None


# A moment, and how many of its changes have been shown: ids would count the changes of everybody.
Position = tuple[datetime, int]


async def find_changes(tx: Transaction, wanted: Wanted, limit: int, after: Position | None = None) -> Sequence[Change]:
    """Rows that are wanted, newest first, from the one that follows a position."""
    values: list[Any] = []

    def parameter(value: object) -> str:
        values.append(value)
        return f"${len(values)}"

    conditions = _conditions(wanted, parameter)
    shown = 0
    if after is not None:
        moment, shown = after
        conditions.append(f"at <= {parameter(moment)}::timestamptz")
    in_order = "ORDER BY at DESC, id DESC LIMIT"
    end = f"{in_order} {parameter(limit)} OFFSET {parameter(shown)}::bigint"
    if wanted.events is None:
        found = f"SELECT * FROM audit_events WHERE {' AND '.join(conditions) or 'true'} {end}"
    else:
        # The index has the rows of each event in order: the newest of each are read, and the newest of those kept.
        conditions.append("event = wanted.name")
        newest_of_each = f"{in_order} {parameter(limit + shown)}"
        found = (
            f"SELECT x.* FROM unnest({parameter(list(wanted.events))}::text[]) AS wanted(name) CROSS JOIN LATERAL"
            f" (SELECT * FROM audit_events WHERE {' AND '.join(conditions)} {newest_of_each}) x {end}"
        )
    return [_change(row) for row in await tx.fetch(_COLUMNS.format(found=found), *values)]


def position_after(changes: Sequence[Change], before: Position | None) -> Position:
    """Where the list goes on after these changes, of which there is at least one and which began at a position."""
    moment = changes[-1].at
    shown = sum(change.at == moment for change in changes)
    return moment, shown + (before[1] if before is not None and before[0] == moment else 0)


def _conditions(wanted: Wanted, parameter: Any) -> list[str]:
    conditions = []
    if wanted.organization_id is not None:
        conditions.append(f"organization_id = {parameter(wanted.organization_id)}")
    if wanted.actor in {"command_line", "server"}:
        conditions.append(f"actor_id IS NULL AND actor_kind = {parameter(wanted.actor)}")
    elif wanted.actor is not None:
        conditions.append(f"actor_id = {parameter(wanted.actor)}")
    if wanted.text is not None:
        text = parameter(wanted.text)
        conditions.append(f"(object_id = {text} OR object_name = {text} OR request_id = {text})")
    if wanted.since is not None:
        conditions.append(f"at >= {parameter(wanted.since)}")
    if wanted.until is not None:
        conditions.append(f"at < {parameter(wanted.until)}")
    return conditions


def _change(row: Any) -> Change:
    return Change(
        at=row["at"],
        actor_kind=row["actor_kind"],
        actor_id=row["actor_id"],
        actor_email=row["actor_email"],
        organization_id=row["organization_id"],
        organization_name=row["organization_name"],
        event=row["event"],
        object_id=row["object_id"],
        object_name=row["object_name"] or row["object_email"],
        before=_read(row["before"]),
        after=_read(row["after"]),
        source=row["source"],
        request_id=row["request_id"],
    )


def _read(value: str | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    read: Mapping[str, Any] | None = json.loads(value) if isinstance(value, str) else value
    return read


_MOST_ACTORS = 100
_ACTORS = f"""
SELECT u.id, u.email FROM memberships m JOIN users u ON u.id = m.user_id
WHERE m.organization_id = $1 ORDER BY u.email LIMIT {_MOST_ACTORS}
"""
_OPERATORS = f"SELECT id, email FROM users WHERE is_operator ORDER BY email LIMIT {_MOST_ACTORS}"


async def list_actors(tx: Transaction, organization_id: str | None) -> Sequence[tuple[str, str]]:
    """Who may have changed something: ids and addresses of an organization's members, or of the operators."""
    rows = await tx.fetch(_OPERATORS) if organization_id is None else await tx.fetch(_ACTORS, organization_id)
    return [(row["id"], row["email"]) for row in rows]
