"""Turns that are admitted, and that end, by the statements themselves."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from app.chat.turns import repository
from app.chat.turns.repository import Admission, Batch, EndedTurn
from app.configuration import service as configuration
from app.core.attribution import Attribution
from app.core.database import Database
from app.sessions import service as sessions
from app.sessions.lease import LeasedSession
from tests.chat.turns.rows import TurnRows, rows_of
from tests.credits.uses import make_use
from tests.factories import Organization, balance_of

HOUR = timedelta(hours=1)


async def batch_of(database: Database, host: Organization, valid_until: datetime | None = None) -> Batch:
    """What turns of the organization have in common now."""
    async with database.transaction() as tx:
        return Batch(host.id, await configuration.read_version(tx, host.id), valid_until)


def admission_of(host: Organization, session: LeasedSession, amount: str = "1", *, calls: int = 1) -> Admission:
    """What a turn asks for that begins this session."""
    attribution = Attribution(
        organization_id=host.id,
        user_id=host.user_id,
        api_key_id="a-key",
        agent="host",
        model="sim-chat",
        session_id=session.id,
        turn_id=session.turn_id,
        request_id="a-request",
    )
    return Admission(attribution, f"turn:{session.turn_id}", Decimal(amount), HOUR, calls, session.public_id)


def new_sessions(count: int) -> list[LeasedSession]:
    """Sessions that are not stored yet."""
    return [sessions.begin_new(f"turn-{uuid4().hex}") for _ in range(count)]


async def admitted(database: Database, host: Organization, count: int = 1, *, calls: int = 1) -> list[LeasedSession]:
    """The sessions of turns that were admitted together."""
    begun = new_sessions(count)
    admissions = [admission_of(host, session, calls=calls) for session in begun]
    assert await repository.admit(database, await batch_of(database, host), admissions)
    return begun


async def ended_turn(
    database: Database, session: LeasedSession, cost: str | None, *said: str, uses: int = 1
) -> EndedTurn:
    """The end of a turn of this cost in which this was said."""
    reference = f"turn:{session.turn_id}"
    async with database.transaction() as tx:
        used = [await make_use(tx, f"{reference}:{number}", cost) for number in range(1, uses + 1)] if cost else []
    messages = [("host", {"role": "assistant", "content": text}) for text in said]
    return EndedTurn(session, reference, "host", used, await sessions.columns_of(messages), has_failed=False)


async def end(database: Database, host: Organization, *turns: EndedTurn) -> list[bool]:
    """End the turns together: of each whether it was done."""
    return await repository.end(database, host.id, turns)


async def said_in(database: Database, session: LeasedSession) -> Sequence[tuple[str, str]]:
    """The id of the turn and the text of each message, in order."""
    rows = await database.fetch(
        "SELECT turn_id, content #>> '{}' AS text FROM messages WHERE session_id = $1 ORDER BY id", session.id
    )
    return [(row["turn_id"], row["text"]) for row in rows]


async def is_leased(database: Database, session: LeasedSession) -> bool:
    """Whether a turn has the session."""
    leased: bool = await database.fetchval("SELECT turn_id IS NOT NULL FROM sessions WHERE id = $1", session.id)
    return leased


async def books(database: Database, host: Organization) -> tuple[Decimal, Decimal, TurnRows]:
    """The balance, what is held of it, and the rows."""
    balance = await balance_of(database, host)
    return balance.balance, balance.held, await rows_of(database, host)
