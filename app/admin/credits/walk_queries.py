"""How the entries of a ledger are found: which index is walked along, and what is passed over.

Entries are listed in the order of their ids, which is the order in which they were made: each is inserted under the
lock of its account. What no index serves is passed over: at most `SCANNED` entries a page, however many there are. The
page then says how far it has looked, and the next one goes on from there.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Self

from app.admin.credits.ledger_filter import LedgerFilter
from app.core.database import Transaction
from app.credits.models import EntryKind
from app.credits.references import LATE, SUPERSEDED, generation_reference_sql, turn_reference

# How many entries one page looks through.
SCANNED = 10_000
# An entry's time is when its transaction began, and its id is of a moment later. No transaction takes so long.
_SLACK = timedelta(hours=1)

_IN_ORDER = "ORDER BY l.id DESC"
_GENERATION = generation_reference_sql("c.id", "n")
_Parameter = Callable[[object], str]

# The first id that is not before a moment ($2), by halving: between `low` and `high`, until nothing is between them.
_POSITION = """
WITH RECURSIVE search AS (
    SELECT (SELECT id FROM ledger_entries WHERE organization_id = $1 ORDER BY id LIMIT 1) AS low,
           (SELECT id FROM ledger_entries WHERE organization_id = $1 ORDER BY id DESC LIMIT 1) + 1 AS high
    UNION ALL
    SELECT CASE WHEN is_before THEN id + 1 ELSE low END, CASE WHEN is_before THEN high ELSE (low + high) / 2 END
    FROM search CROSS JOIN LATERAL (
        SELECT id, id < high AND created_at < $2 AS is_before FROM ledger_entries
        WHERE organization_id = $1 AND id >= (low + high) / 2 ORDER BY id LIMIT 1
    ) probe
    WHERE low < high
)
SELECT low FROM search WHERE low >= high
"""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Where a walk begins and ends. None: not at all.

    Attributes:
        before: only ids below this one.
        since: none below this one.
    """

    before: int | None = None
    since: int | None = None

    def up_to(self, entry_id: int | None) -> "Bounds":
        """The same, with no id above this one; None: unchanged."""
        if entry_id is None:
            return self
        return Bounds(before=min(entry_id + 1, self.before or entry_id + 1), since=self.since)


@dataclass(frozen=True)
class Walk:
    """The statements of a list: an index to walk along, and what is passed over.

    Attributes:
        found: a join with what was searched for; empty if nothing was.
        driving: the conditions that the index serves, with the first `driving_values` of the parameters.
        rest: the conditions on what is passed over otherwise.
        values: the parameters of all of them.
    """

    found: str
    driving: str
    rest: str
    values: tuple[object, ...]
    driving_values: int

    @classmethod
    def of(cls, organization_id: str, chosen: LedgerFilter, only_user: str | None, bounds: Bounds) -> Self:
        """The walk through an organization's entries, or through those of one of its users."""
        values: list[object] = []

        def parameter(value: object) -> str:
            values.append(value)
            return f"${len(values)}"

        driving = [f"l.organization_id = {parameter(organization_id)}", *_driving(chosen, only_user, bounds, parameter)]
        found = f"JOIN ({_found(chosen.search, parameter)}) found ON found.id = l.id" if chosen.search else ""
        count = len(values)
        rest = _rest(chosen, parameter)
        return cls(found, " AND ".join(driving), " AND ".join(rest) or "true", tuple(values), count)

    @property
    def passes_over(self) -> bool:
        """Whether entries are read that are not shown. What was searched for is found by its id."""
        return self.rest != "true" and not self.found

    def page(self, columns: str, limit: int) -> str:
        """The columns of a row `l`, of up to `limit` entries."""
        # Sorted here although no row is skipped, Postgres would plan for all rows instead of one page.
        source = self._scan("l.*") + (f" {_IN_ORDER} LIMIT {SCANNED}" if self.passes_over else "")
        return f"SELECT {columns} FROM ({source}) l WHERE {self.rest} {_IN_ORDER} LIMIT {limit}"

    def end(self) -> str:
        """The last id that a page looks at; no row if there are fewer. It has the first `driving_values` parameters."""
        return f"{self._scan('l.id')} {_IN_ORDER} OFFSET {SCANNED - 1} LIMIT 1"

    def _scan(self, columns: str) -> str:
        return f"SELECT {columns} FROM ledger_entries l {self.found} WHERE {self.driving}"


async def bounds_of_days(tx: Transaction, organization_id: str, first: date | None, last: date | None) -> Bounds:
    """Between which ids the entries of these days (UTC) are; None: of any day. A few others are there, too."""
    since = before = None
    if first is not None:
        since = await tx.fetchval(_POSITION, organization_id, _start(first) - _SLACK)
    if last is not None:
        before = await tx.fetchval(_POSITION, organization_id, _start(last) + timedelta(days=1) + _SLACK)
    return Bounds(since=since, before=before)


def _start(day: date) -> datetime:
    # A year of four digits, further in than the slack and a day.
    return datetime.combine(min(max(day, date(1000, 1, 1)), date(9000, 1, 1)), time(), UTC)


def _driving(chosen: LedgerFilter, only_user: str | None, bounds: Bounds, parameter: _Parameter) -> list[str]:
    conditions = []
    if user := only_user or chosen.user:
        conditions.append(f"l.user_id = {parameter(user)}")
    if only_user is not None and chosen.user not in {None, only_user}:
        conditions.append("false")
    if chosen.kind is not None and chosen.kind != EntryKind.CHARGE:
        # So that the index of the few entries that are no charges is used.
        conditions.append(f"l.kind <> '{EntryKind.CHARGE}'")
    if bounds.before is not None:
        conditions.append(f"l.id < {parameter(bounds.before)}::bigint")
    if bounds.since is not None:
        conditions.append(f"l.id >= {parameter(bounds.since)}::bigint")
    return conditions


def _rest(chosen: LedgerFilter, parameter: _Parameter) -> list[str]:
    columns = {"kind": chosen.kind, "api_key_id": chosen.key, "agent": chosen.agent, "model": chosen.model}
    conditions = [f"l.{name} = {parameter(value)}" for name, value in columns.items() if value is not None]
    if chosen.first is not None:
        conditions.append(f"l.created_at >= {parameter(chosen.first)}::date::timestamp AT TIME ZONE 'UTC'")
    if chosen.last is not None:
        conditions.append(f"l.created_at < ({parameter(chosen.last)}::date + 1)::timestamp AT TIME ZONE 'UTC'")
    return conditions


def _found(search: str, parameter: _Parameter) -> str:
    """A query of the ids of the entries that are about what was searched for, each part of it by an index."""
    text = parameter(search)
    entries = "SELECT id FROM ledger_entries WHERE organization_id = $1 AND"
    parts = [
        # From a request to its holds, and from these to what was charged and given back.
        f"""{entries} request_id = {text} AND reference IN (
            SELECT unnest(ARRAY[h.reference, '{SUPERSEDED}:' || h.reference, '{LATE}:' || e.call_id])
            FROM credit_holds h LEFT JOIN metering_events e
                 ON e.hold_reference = h.reference AND e.organization_id = h.organization_id
            WHERE h.organization_id = $1 AND h.request_id = {text})""",
        f"{entries} reference IN ({text}, {parameter(turn_reference(search))})",
        f"{entries} session_id IN (SELECT id FROM sessions WHERE organization_id = $1 AND public_id = {text})",
    ]
    if (content_id := _uuid(search)) is not None:
        content = parameter(content_id)
        parts.append(f"{entries} session_id = {content}")
        parts.append(f"""{entries} reference IN (
            SELECT unnest(ARRAY[{_GENERATION}, '{LATE}:' || {_GENERATION}])
            FROM generations c CROSS JOIN LATERAL generate_series(0, c.retry_count) n
            WHERE c.id = {content} AND c.organization_id = $1)""")
    return " UNION ".join(parts)


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None
