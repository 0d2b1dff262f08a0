"""The rows that a run leaves in Postgres, as far as it is judged by them: documented columns of documented tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Self

import asyncpg

_TIMEOUT_SECONDS = 5.0
_COMMAND_SECONDS = 20.0

# The action is the hold that an entry is about: a late charge names its call, a refund the hold itself.
_ENTRIES = """
SELECT l.organization_id, l.kind, l.reference, l.amount,
       substring(l.request_id FROM 'chaos-([0-9]+\\.[0-9]+)-') AS marker,
       CASE WHEN l.reference LIKE 'late:%'
            THEN (SELECT e.hold_reference FROM metering_events e WHERE e.call_id = substr(l.reference, 6))
            WHEN l.reference LIKE 'superseded:%' THEN substr(l.reference, 12)
            ELSE l.reference END AS action
FROM ledger_entries l ORDER BY l.id
"""
_CONTENTS = """
SELECT id::text, organization_id, model, input::text, prompt, status, retry_count, prediction_id, error_message,
       credit_cost
FROM generations ORDER BY created_at, id
"""
_OUTPUTS = """
SELECT o.generation_id::text AS content_id, o.position, o.storage_path, o.sha256,
       g.status = 'completed' AND o.attempt = g.retry_count AND o.sha256 IS NOT NULL AS is_wanted
FROM outputs o JOIN generations g ON g.id = o.generation_id
ORDER BY o.generation_id, o.attempt, o.position
"""
_MARKERS = """
SELECT turn_id, min(substring(content::text FROM '\\[chaos ([0-9]+\\.[0-9]+)\\]')) AS marker
FROM messages WHERE role = 'user' GROUP BY turn_id
"""
_OPEN_HOLDS = "SELECT reference FROM credit_holds WHERE state = 'open' ORDER BY reference"
_LOST_CALLS = """
SELECT coalesce(sum(greatest(0, h.calls_opened - (
    SELECT count(*) FROM metering_events e WHERE e.hold_reference = h.reference))), 0)::int
FROM credit_holds h WHERE h.state <> 'open'
"""


@dataclass(frozen=True)
class LedgerEntry:
    """One change of a balance. `action` is the hold that it is about, `marker` the chat's, if it is recorded."""

    organization_id: str
    kind: str
    reference: str
    amount: Decimal
    action: str | None
    marker: str | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Self:
        """The value of a row."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Content:
    """One generation as it ended."""

    id: str
    organization_id: str
    model: str
    input: str
    prompt: str
    status: str
    retry_count: int
    prediction_id: str | None
    error_message: str | None
    credit_cost: Decimal | None

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Self:
        """The value of a row."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class StoredOutput:
    """One file of a generation. `is_wanted`: it belongs to the attempt that completed it."""

    content_id: str
    position: int
    storage_path: str
    sha256: str | None
    is_wanted: bool

    @classmethod
    def from_row(cls, row: asyncpg.Record) -> Self:
        """The value of a row."""
        return cls(**{name: row[name] for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Tables:
    """Everything at one moment.

    Attributes:
        entries: The ledger.
        contents: All generations.
        outputs: All files.
        markers: The marker in the messages of each turn, by the turn's id.
        open_holds: References.
        lost_calls: Model calls that were opened, whose hold has ended, and that have no event.
    """

    entries: Sequence[LedgerEntry]
    contents: Sequence[Content]
    outputs: Sequence[StoredOutput]
    markers: dict[str, str]
    open_holds: Sequence[str]
    lost_calls: int


class Postgres:
    """Runs single queries, each on a connection of its own, which is gone if Postgres does not answer."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def count(self, sql: str) -> int | None:
        """What a query counts; None while Postgres is away."""
        try:
            connection = await self._connect()
            try:
                counted: int = await connection.fetchval(sql)
            finally:
                connection.terminate()
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return None
        return counted

    async def read(self) -> Tables:
        """Everything, in one snapshot."""
        connection = await self._connect()
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                return await _read(connection)
        finally:
            await connection.close()

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self._url, timeout=_TIMEOUT_SECONDS, command_timeout=_COMMAND_SECONDS)


async def _read(connection: Any) -> Tables:
    markers = await connection.fetch(_MARKERS)
    return Tables(
        entries=[LedgerEntry.from_row(row) for row in await connection.fetch(_ENTRIES)],
        contents=[Content.from_row(row) for row in await connection.fetch(_CONTENTS)],
        outputs=[StoredOutput.from_row(row) for row in await connection.fetch(_OUTPUTS)],
        markers={row["turn_id"]: row["marker"] for row in markers if row["marker"]},
        open_holds=[row["reference"] for row in await connection.fetch(_OPEN_HOLDS)],
        lost_calls=await connection.fetchval(_LOST_CALLS),
    )
