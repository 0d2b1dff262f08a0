"""The statements that admit and end turns: one for all turns of an organization that do so at the same time.

They are put together here from parts that sessions and credits export, because each is a whole transaction. Rows are
locked in the same order everywhere: first the idempotency key, then sessions by their ids, then the account, then what
belongs to the account. In different orders two transactions could wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import chain
from typing import Any, Protocol

import asyncpg

from app.configuration import fragments as configuration
from app.core.attribution import ATTRIBUTION_COLUMNS, Attribution
from app.core.json import storable_json
from app.credits import fragments as credits
from app.credits.metering import MeteredUse
from app.credits.settlement import USE_FIELDS
from app.sessions import fragments as sessions
from app.sessions.lease import TURN_LEASE, LeasedSession


class Statements(Protocol):
    """Runs statements: in a transaction that is open, or each in a transaction of its own."""

    async def fetch(self, sql: str, *values: object) -> Sequence[asyncpg.Record]:
        """All rows of one statement."""
        ...

    async def fetchval(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        ...


@dataclass(frozen=True)
class Batch:
    """What turns have in common that are admitted together.

    Attributes:
        organization_id: who pays.
        version: the version of the configuration that they are made of.
        valid_until: until when that is valid at the latest, by Postgres's clock; None if no end is known.
    """

    organization_id: str
    version: int
    valid_until: datetime | None


@dataclass(frozen=True)
class Admission:
    """What one turn asks for to be admitted.

    Attributes:
        attribution: for whom and by what it runs.
        reference: that of its hold.
        amount: credits to be held.
        expires_in: how long until the turn is taken to have crashed.
        calls_opened: how many model calls begin with it.
        session_name: the name of the session that begins with it; None if its session is leased already.
    """

    attribution: Attribution
    reference: str
    amount: Decimal
    expires_in: timedelta
    calls_opened: int
    session_name: str | None


@dataclass(frozen=True)
class EndedTurn:
    """What is written when one turn ends.

    Attributes:
        session: its session, with its lease.
        reference: that of its hold.
        description: what the ledger says of it.
        uses: what its model calls have used.
        messages: what is stored in the session: one list per column, see `sessions.service.columns_of`.
        has_failed: whether something went wrong.
    """

    session: LeasedSession
    reference: str
    description: str
    uses: Sequence[MeteredUse]
    messages: Sequence[Sequence[str | None]]
    has_failed: bool


def _statement(expressions: Mapping[str, str], result: str) -> str:
    """One statement of common table expressions, by their names, and of what it returns."""
    return "WITH " + ", ".join(f"{name} AS ({sql})" for name, sql in expressions.items()) + result


def _rows_given(columns: Mapping[str, str], *, first: int, place: str | None = None) -> str:
    """Rows whose columns, of these types, are the parameters from the number `first` on. `place` numbers the rows."""
    values = ", ".join(f"${number}::{kind}[]" for number, kind in enumerate(columns.values(), first))
    if place is None:
        return f"SELECT * FROM unnest({values}) AS given ({', '.join(columns)})"
    return f"SELECT * FROM unnest({values}) WITH ORDINALITY AS given ({', '.join(columns)}, {place})"


_ADMISSION = {
    "reference": "text",
    "amount": "numeric",
    "expires_in": "interval",
    "calls_opened": "int",
    "session_name": "text",
    **{name: "uuid" if name == "session_id" else "text" for name in ATTRIBUTION_COLUMNS},
}
_IS_CURRENT = f"$3 = {configuration.version('$1')} AND ($4::timestamptz IS NULL OR now() < $4)"

# $1 the organization, $2 all that is to be held, $3 and $4 the version of the configuration and until when it is valid,
# $5 the lease of a session; then what is given of the turns.
_ADMIT = _statement(
    {
        "turns": _rows_given(_ADMISSION, first=6),
        "account": credits.reserved(organization="$1", amount="$2::numeric", condition=_IS_CURRENT),
        "admitted": "SELECT turns.* FROM turns JOIN account USING (organization_id)",
        "begun": sessions.begun("admitted WHERE session_name IS NOT NULL", lease="$5::interval"),
        "held": credits.holds("admitted"),
    },
    "SELECT true FROM account",
)

_CHECK_VERSION = f"SELECT $2 = {configuration.version('$1')} AND ($3::timestamptz IS NULL OR now() < $3)"

_ENDED_TURN = {
    "session_id": "uuid",
    "turn_id": "text",
    "reference": "text",
    "description": "text",
    "messages": "int",
    "has_failed": "bool",
}
_MESSAGE = {
    "turn": "bigint",
    "role": "text",
    "content": "jsonb",
    "agent": "text",
    "tool_calls": "jsonb",
    "tool_call_id": "text",
    "name": "text",
    "additions": "jsonb",
}

# $1 the organization, $2 the uses; then what is given of the turns, and of their messages.
_END = _statement(
    {
        # What is waited for first, so that the beginning of the statement, which Postgres shows, says what it is.
        "turns": _rows_given(_ENDED_TURN, first=3, place="position"),
        "locked": sessions.locked("turns"),
        "account": credits.locked_account(organization="$1", after="(SELECT count(*) FROM locked)"),
        "uses": f"SELECT * FROM jsonb_to_recordset($2::jsonb) AS given (reference text, {USE_FIELDS})",
        "said": _rows_given(_MESSAGE, first=3 + len(_ENDED_TURN), place="place"),
        **credits.settled(organization="$1", turns="turns", uses="uses", account="account"),
        **sessions.freed(turns="turns", locked="locked", ended="ended", messages="said"),
    },
    "SELECT position FROM ended",
)


async def admit(run: Statements, batch: Batch, admissions: Sequence[Admission]) -> bool:
    """Begin the sessions of turns and hold for each of them, all or none.

    Returns:
        False if less than all of it is available, or if the setups are out of date. Nothing has changed then.
    """
    columns = (
        [each.reference for each in admissions],
        [each.amount for each in admissions],
        [each.expires_in for each in admissions],
        [each.calls_opened for each in admissions],
        [each.session_name for each in admissions],
        *zip(*(each.attribution.values() for each in admissions), strict=True),
    )
    amount = sum((each.amount for each in admissions), Decimal(0))
    values = batch.organization_id, amount, batch.version, batch.valid_until, TURN_LEASE
    return await run.fetchval(_ADMIT, *values, *columns) is not None


async def is_current(run: Statements, batch: Batch) -> bool:
    """Whether the configuration is still what Postgres has."""
    is_same: bool = await run.fetchval(_CHECK_VERSION, batch.organization_id, batch.version, batch.valid_until)
    return is_same


async def end(run: Statements, organization_id: str, ended: Sequence[EndedTurn]) -> list[bool]:
    """Store the messages of turns, free their sessions, charge what they have used, and release the rest of each hold.

    Returns:
        Of each turn whether that was done. If not, nothing of it has changed: its hold has ended before, more calls
        were opened than are known here, or it has cost more than was held.
    """
    uses = [{"reference": each.reference, **use.to_json()} for each in ended for use in each.uses]
    turns = (
        [each.session.id for each in ended],
        [each.session.turn_id for each in ended],
        [each.reference for each in ended],
        [each.description for each in ended],
        [len(each.messages[0]) for each in ended],
        [each.has_failed for each in ended],
    )
    places = [position for position, each in enumerate(ended, 1) for _ in each.messages[0]]
    messages = [list(chain(*columns)) for columns in zip(*(each.messages for each in ended), strict=True)]
    rows = await run.fetch(_END, organization_id, storable_json(uses), *turns, places, *messages)
    done = {row["position"] for row in rows}
    return [position in done for position in range(1, len(ended) + 1)]
