import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from asyncpg import Record

from app.api_keys.caller import Caller
from app.core.crypto import new_id
from app.core.database import Transaction
from app.core.json import storable_json
from app.sessions import repository
from app.sessions.errors import SessionBusyError, SessionNotFoundError

# A message in OpenAI's wire form.
WireMessage = Mapping[str, Any]

TURN_LEASE = timedelta(seconds=60)
_MOST_MESSAGES = 1000
# What one turn loads of its history at the most, pictures included.
_MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True)
class LeasedSession:
    """A session that a turn has to itself until it ends or stops renewing its lease."""

    id: uuid.UUID
    public_id: str
    turn_id: str


async def begin_turn(
    tx: Transaction, caller: Caller, turn_id: str, *, session_id: str | None, conversation_id: str | None
) -> LeasedSession:
    """Lease a session to a turn: the one that is named, or a new one where none is.

    Args:
        tx: the transaction that admits the turn.
        caller: whose session it is.
        turn_id: the turn.
        session_id: a session that must exist.
        conversation_id: a name of the client's own, for a session to be continued or made.

    Raises:
        SessionNotFoundError: `session_id` names none of the caller's.
        SessionBusyError: another turn runs on it.
    """
    public_id = session_id or conversation_id or new_id("sess")
    who = (caller.organization_id, caller.user_id, public_id)
    row = None
    if session_id is None:
        row = await repository.make(tx, *who, turn_id, TURN_LEASE)
    if row is None:
        row = await repository.take(tx, *who, turn_id, TURN_LEASE)
    if row is None:
        if await repository.exists(tx, *who):
            raise SessionBusyError
        raise SessionNotFoundError(public_id)
    return LeasedSession(row["id"], row["public_id"], turn_id)


async def renew_turn(tx: Transaction, session: LeasedSession) -> None:
    """Keep the session leased while its turn goes on."""
    await repository.renew(tx, session.id, session.turn_id, TURN_LEASE)


async def load_history(tx: Transaction, session: LeasedSession) -> list[dict[str, Any]]:
    """The session's messages in wire form, oldest first."""
    rows = await repository.history(tx, session.id, _MOST_MESSAGES, _MOST_BYTES)
    return [_wire(row) for row in rows]


async def end_turn(
    tx: Transaction, session: LeasedSession, messages: Sequence[tuple[str | None, WireMessage]], *, failed: bool
) -> None:
    """Store the turn's messages, each with the agent that wrote it, and free the session."""
    columns: list[list[str | None]] = [[], [], [], [], [], []]
    for agent, message in messages:
        values = (
            message["role"],
            _json(message.get("content")),
            agent,
            _json(message.get("tool_calls")),
            message.get("tool_call_id"),
            message.get("name"),
        )
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    await repository.append_and_end_turn(tx, session.id, session.turn_id, columns, failed=failed)


def _wire(row: Record) -> dict[str, Any]:
    message: dict[str, Any] = {"role": row["role"], "content": row["content"]}
    for name in ("tool_calls", "tool_call_id", "name"):
        if row[name] is not None:
            message[name] = row[name]
    return message


def _json(value: Any) -> str | None:
    return None if value is None else storable_json(value)
