"""How a turn uses a session: it leases the session, reads the history, and stores its messages at the end."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.core.concurrency import in_slices
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.core.errors import ServiceUnavailableError
from app.core.json import storable_json
from app.sessions import repository
from app.sessions.continuation import Continuation, continue_from
from app.sessions.errors import SessionBusyError, SessionNotFoundError
from app.sessions.lease import TURN_LEASE, LeasedSession, PastTurn, SessionOwner
from app.sessions.messages import (
    MOST_BYTES_AT_ONCE,
    MOST_BYTES_OF_ADDITIONS,
    MessageRole,
    StoredMessage,
    WireMessage,
    additions_of,
)

logger = logging.getLogger(__name__)

_MOST_MESSAGES = 1000
_MOST_COMPARED = 20_000
_COLUMNS = 7
# What is read of a session that is gone on with: messages, and bytes.
_PAST = (_MOST_MESSAGES, MOST_BYTES_AT_ONCE)


async def begin_turn(
    tx: Transaction, owner: SessionOwner, turn_id: str, *, session_name: str | None, conversation_name: str | None
) -> LeasedSession:
    """Lease a session to a turn: the named one, or a new one if none is named.

    Args:
        tx: the transaction that admits the turn.
        owner: whose session it is.
        turn_id: the turn.
        session_name: the name of a session that must exist.
        conversation_name: the client's own name for a session, which is created if it does not exist.

    Raises:
        SessionNotFoundError: the owner has no session named `session_name`.
        SessionBusyError: another turn is running on it.
    """
    name = session_name or conversation_name or new_id("sess")
    owned = (owner.organization_id, owner.user_id, name)
    leased = None
    if session_name is None:
        leased = await repository.insert_session(tx, *owned, owner.api_key_id, turn_id, TURN_LEASE)
    leased = leased or await repository.lease_session(tx, *owned, turn_id, TURN_LEASE)
    if leased is not None:
        return leased
    if await repository.session_exists(tx, *owned):
        raise SessionBusyError
    if session_name is not None:
        raise SessionNotFoundError(name)
    # It was too old to be kept, and went between the two statements.
    leased = await repository.insert_session(tx, *owned, owner.api_key_id, turn_id, TURN_LEASE)
    if leased is None:
        raise SessionBusyError
    return leased


def begin_new(turn_id: str) -> LeasedSession:
    """A session that begins with a turn. Whoever admits the turn stores it; see `app.sessions.fragments`."""
    return LeasedSession(id=uuid.uuid4(), public_id=new_id("sess"), turn_id=turn_id)


def begin_unstored(turn_id: str) -> LeasedSession:
    """What stands for the session of a turn of which nothing is kept."""
    return LeasedSession(id=uuid.uuid4(), public_id="", turn_id=turn_id, is_stored=False)


async def continue_after(
    tx: Transaction, owner: SessionOwner, turn_id: str, past: PastTurn, sent: Sequence[WireMessage]
) -> tuple[LeasedSession, Continuation]:
    """Lease a session to a turn that goes on from a past one: its own, if nothing was said there since and it is free.

    Otherwise that is a new one, with a copy of what had been said by then: nobody waits, and nothing is mixed.
    """
    session = await repository.lease_if_last(tx, past.session_id, past.turn_id, turn_id, TURN_LEASE)
    if session is not None:
        rows = await repository.find_history(tx, session.id, *_PAST)
        return session, _after(rows, sent)
    session = await repository.insert_session(
        tx, owner.organization_id, owner.user_id, new_id("sess"), owner.api_key_id, turn_id, TURN_LEASE
    )
    if session is None:
        raise SessionBusyError
    await repository.copy_until(tx, past.session_id, past.turn_id, *_PAST, session.id)
    return session, _after(await repository.find_history(tx, session.id, *_PAST), sent)


async def read_after(tx: Transaction, past: PastTurn, sent: Sequence[WireMessage]) -> Continuation:
    """How messages go on from a past turn, if nothing is to be kept of them."""
    return _after(await repository.find_history_until(tx, past.session_id, past.turn_id, *_PAST), sent)


async def begin_conversation(sent: Sequence[WireMessage]) -> Continuation:
    """How the messages of a request begin a session; see `continue_session`."""
    return await _continuation((), sent)


async def lease_to_continue(
    database: Database, owner: SessionOwner, turn_id: str, name: str, sent: Sequence[WireMessage]
) -> tuple[LeasedSession, Continuation] | None:
    """Lease a session to a turn and read how the messages of its request continue it; see `continue_session`.

    Whoever does not admit the turn has to give the session back. If the process crashes before, it is busy until the
    lease expires. If Postgres fails meanwhile, it may be so, too.

    Returns:
        None if the owner has no session of that name, or another turn is running on it.
    """
    owned = (owner.organization_id, owner.user_id, name)
    limits = _history_limit(sent), MOST_BYTES_AT_ONCE
    found = await repository.lease_and_find_history(database, *owned, turn_id, TURN_LEASE, *limits)
    if found is None:
        return None
    session, rows = found
    try:
        if rows is None:
            rows = await repository.find_history(database, session.id, *limits)
        return session, await _continuation(rows, sent)
    except BaseException:  # raised again
        await give_back(database, session)
        raise


async def give_back(database: Database, session: LeasedSession) -> None:
    """End the lease of a turn that was not admitted. If Postgres is away, the lease expires by itself."""
    try:
        await repository.end_lease(database, session)
    except ServiceUnavailableError:
        logger.warning("session_not_given_back", extra={"turn_id": session.turn_id})


async def renew_turn(tx: Transaction, session: LeasedSession) -> None:
    """Renew the turn's lease on the session."""
    await repository.renew_lease(tx, session, TURN_LEASE)


async def continue_session(tx: Transaction, session: LeasedSession, sent: Sequence[WireMessage]) -> Continuation:
    """How the messages of a request continue the session, of whose newest messages at most 16 MB are read.

    The history is at most 1000 messages, also if more had to be read to see what the request sends again.
    """
    return await _continuation(
        await repository.find_history(tx, session.id, _history_limit(sent), MOST_BYTES_AT_ONCE), sent
    )


async def end_turn(
    tx: Transaction,
    session: LeasedSession,
    messages: Sequence[tuple[str | None, WireMessage]],
    *,
    superseded: Sequence[int],
    failed: bool,
) -> None:
    """Store the turn's messages, each with the name of the agent that wrote it, and end the lease.

    The stored messages whose ids are `superseded` are no longer sent to models.
    """
    await supersede(tx, session, superseded)
    await repository.append_messages_and_end_lease(tx, session, await columns_of(messages), failed=failed)


async def supersede(tx: Transaction, session: LeasedSession, ids: Sequence[int]) -> None:
    """Send the stored messages of these ids no longer to models. Does nothing if the turn has lost the lease."""
    if ids:
        await repository.supersede_messages(tx, session, ids)


async def columns_of(messages: Sequence[tuple[str | None, WireMessage]]) -> list[list[str | None]]:
    """Messages as they are stored, each with the name of the agent that wrote it: one list per column.

    The columns: roles, contents, agents, tool calls, tool call ids, names, additions.
    """
    rows = await in_slices(_row_of, messages)
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(_COLUMNS)]


def _history_limit(sent: Sequence[WireMessage]) -> int:
    """How many messages of the session have to be read to see what the request sends again."""
    # Without an answer it repeats the session only if that is shorter.
    has_answer = any(message["role"] == MessageRole.ASSISTANT for message in sent)
    return _MOST_COMPARED if has_answer else max(_MOST_MESSAGES, len(sent) + 1)


def _after(rows: Sequence[StoredMessage], sent: Sequence[WireMessage]) -> Continuation:
    """Messages that are all new after these."""
    history = [row.in_wire_form() for row in rows]
    return Continuation(leading=(), history=history, messages=sent, first_index=0, asked=sent, superseded=())


async def _continuation(rows: Sequence[StoredMessage], sent: Sequence[WireMessage]) -> Continuation:
    continuation = await continue_from(rows, sent)
    return replace(continuation, history=continuation.history[-_MOST_MESSAGES:])


def _row_of(written: tuple[str | None, WireMessage]) -> tuple[str | None, ...]:
    agent, message = written
    return (
        message["role"],
        _json(message.get("content")),
        agent,
        _json(message.get("tool_calls")),
        message.get("tool_call_id"),
        message.get("name"),
        _additions(message),
    )


def _additions(message: WireMessage) -> str | None:
    text = _json(additions_of(message))
    return None if text is None or len(text.encode()) > MOST_BYTES_OF_ADDITIONS else text


def _json(value: Any) -> str | None:
    return None if value is None else storable_json(value)
