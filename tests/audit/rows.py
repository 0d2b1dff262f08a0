"""The rows of the log of changes, as tests read them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.core.database import Database

_ROWS = "SELECT * FROM audit_events WHERE organization_id = $1 OR object_id = $1 ORDER BY id"


@dataclass(frozen=True)
class Row:
    """One change."""

    event: str
    actor: tuple[str, str | None]
    object_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: str | None
    request_id: str | None


async def rows_of(database: Database, organization_or_object_id: str) -> Sequence[Row]:
    """The changes of an organization, or those of one object, oldest first."""
    async with database.transaction() as tx:
        found = await tx.fetch(_ROWS, organization_or_object_id)
    return [
        Row(
            event=row["event"],
            actor=(row["actor_kind"], row["actor_id"]),
            object_id=row["object_id"],
            before=_read(row["before"]),
            after=_read(row["after"]),
            source=row["source"],
            request_id=row["request_id"],
        )
        for row in found
    ]


def _read(value: str | dict[str, Any] | None) -> dict[str, Any] | None:
    return json.loads(value) if isinstance(value, str) else value
