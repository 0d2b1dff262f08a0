"""The list of sessions: which index is walked along, and what is passed over.

What no index serves is passed over: at most `SCANNED` sessions a page, however many there are. The page then says how
far it has looked, and the next one goes on from there.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from app.admin.sessions.queries import STATES, SessionRow, select_sessions
from app.core.database import Transaction
from app.core.json import storable_text

# How many sessions one page looks through.
SCANNED: Final = 10_000

Position = tuple[datetime, uuid.UUID]


@dataclass(frozen=True)
class SessionFilter:
    """Which sessions of an organization are listed. None: all of them.

    Attributes:
        user_id: of this user.
        key_id: begun with this key.
        state: `running` or `failed`.
        since: active since then.
        name: whose name begins with this.
    """

    user_id: str | None = None
    key_id: str | None = None
    state: str | None = None
    since: datetime | None = None
    name: str | None = None


@dataclass(frozen=True)
class Found:
    """One page of the list.

    Attributes:
        rows: what was found.
        next: after which session the next page begins; None if this is the last one.
        is_cut: whether there may be more although the page is not full, because enough sessions were looked through.
    """

    rows: Sequence[SessionRow]
    next: Position | None
    is_cut: bool = False


_IN_ORDER: Final = "ORDER BY s.last_update_time DESC, s.id DESC"
# These operators use the index whatever the parameters are, which LIKE does not.
_IS_NAMED: Final = "s.public_id ~>=~ {0} AND s.public_id ~<~ ({0} || chr(1114111))"
_COUNT_NAMED: Final = f"""
SELECT count(*) FROM (
    SELECT FROM sessions s WHERE s.organization_id = $1 AND {_IS_NAMED.format("$2::text")} LIMIT {SCANNED + 1}
) named
"""
# A key of another organization has begun nothing here.
_IS_BEGUN: Final = "s.api_key_id = {0} AND EXISTS (SELECT FROM api_keys k WHERE k.id = {0} AND k.organization_id = $1)"


async def list_sessions(
    tx: Transaction, organization_id: str, wanted: SessionFilter, *, before: Position | None = None, size: int
) -> Found:
    """One page of up to `size` sessions of the organization, the last active first; only those after `before`."""
    walk = _Walk(organization_id)
    name = None if wanted.name is None else storable_text(wanted.name)
    # So few names are sorted by time; of more, those of the page are found along the time.
    by_name = name is not None and await tx.fetchval(_COUNT_NAMED, organization_id, name) <= SCANNED
    walk.drive_if(by_name, _IS_NAMED, name)
    walk.drive_if(not by_name, _IS_BEGUN, wanted.key_id)
    walk.drive_if(not by_name and wanted.key_id is None, "s.user_id = {0}", wanted.user_id)
    walk.drive_if(True, "s.last_update_time >= {0}", wanted.since)
    walk.drive_if(True, "(s.last_update_time, s.id) < ({0}, {1})", *(before or (None, None)))
    driving_values = len(walk.values)
    walk.pass_over(_IS_NAMED, None if by_name else name)
    walk.pass_over(_IS_BEGUN, wanted.key_id if by_name else None)
    walk.pass_over("s.user_id = {0}", wanted.user_id if by_name or wanted.key_id is not None else None)
    if wanted.state is not None:
        walk.rest.append(STATES[wanted.state])
    rows = await select_sessions(tx, walk.source(is_bounded=not by_name), walk.values, limit=size + 1)
    if len(rows) > size:
        return Found(rows[:size], (rows[size - 1].last_update_time, rows[size - 1].id))
    if by_name or not walk.rest:
        return Found(rows, None)
    last = await tx.fetchrow(walk.end(), *walk.values[:driving_values])
    position = None if last is None else (last["last_update_time"], last["id"])
    return Found(rows, position, is_cut=position is not None)


class _Walk:
    """An index to walk along, what is passed over, and the parameters of both."""

    def __init__(self, organization_id: str) -> None:
        self.values: list[object] = [organization_id]
        self.driving = ["s.organization_id = $1"]
        self.rest: list[str] = []

    def drive_if(self, is_driving: bool, condition: str, *values: object) -> None:
        """Walk along what the condition selects, if it has a value."""
        if is_driving and values[0] is not None:
            self.driving.append(self._filled(condition, values))

    def pass_over(self, condition: str, value: object) -> None:
        """Leave out what the condition does not select, if it has a value."""
        if value is not None:
            self.rest.append(self._filled(condition, (value,)))

    def source(self, *, is_bounded: bool) -> str:
        """The rows `s` of the list. If they are not bounded they are few, and all of them are read."""
        scan = self._scan("s.*")
        # Sorted here although no row is skipped, Postgres would plan for all rows instead of one page.
        if is_bounded and self.rest:
            scan += f" {_IN_ORDER} LIMIT {SCANNED}"
        elif not is_bounded:
            scan += " OFFSET 0"
        return f"({scan}) s WHERE {' AND '.join(self.rest) or 'true'}"

    def end(self) -> str:
        """The last session that a page looks at; no row if there are fewer."""
        return f"{self._scan('s.last_update_time, s.id')} {_IN_ORDER} OFFSET {SCANNED - 1} LIMIT 1"

    def _scan(self, columns: str) -> str:
        return f"SELECT {columns} FROM sessions s WHERE {' AND '.join(self.driving)}"

    def _filled(self, condition: str, values: Sequence[object]) -> str:
        self.values.extend(values)
        first = len(self.values) - len(values) + 1
        return condition.format(*(f"${first + index}" for index in range(len(values))))
