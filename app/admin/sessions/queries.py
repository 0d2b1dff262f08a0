"""The SQL of the sessions' pages. Every statement names the organization; what it reads is bounded."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from app.core.database import Transaction
from app.core.json import storable_text

# A message that is longer as JSON text is not read for a list or a transcript: it is a picture, or a file.
_MOST_TITLE_BYTES: Final = 1024 * 1024
_TITLE_CHARACTERS: Final = 200
_MOST_CHOICES: Final = 200


@dataclass(frozen=True)
class SessionRow:
    """A session with what its list shows.

    Attributes:
        first_text: the beginning of the user's first message; None if it has no text.
        first_parts: what else that message has: the types of its parts.
        credits: what it has cost.
        agents: the agents that its turns were for.
    """

    id: uuid.UUID
    public_id: str
    user_id: str
    email: str
    api_key_id: str | None
    key_name: str | None
    message_count: int
    created_at: datetime
    last_update_time: datetime
    is_running: bool
    has_failed: bool
    first_text: str | None
    first_parts: Sequence[str]
    credits: Decimal
    agents: Sequence[str]


_IS_RUNNING: Final = "coalesce(s.turn_lease_until > now(), false)"
# A turn that has neither ended nor renewed its lease was lost with its process.
_HAS_FAILED: Final = f"(NOT {_IS_RUNNING} AND (s.last_turn_failed OR s.turn_id IS NOT NULL))"
# SQL: whether a session is in the state that a list can be filtered by.
STATES: Final[Mapping[str, str]] = {"running": _IS_RUNNING, "failed": _HAS_FAILED}

_SELECT_SESSIONS: Final = """
SELECT s.id, s.public_id, s.user_id, u.email, s.api_key_id, k.name AS key_name, s.message_count, s.created_at,
       s.last_update_time, s.is_running, s.has_failed, first.text AS first_text, first.parts AS first_parts,
       coalesce(spent.credits, 0) AS credits, coalesce(spent.agents, '{{}}') AS agents
FROM (
    SELECT s.*, {is_running} AS is_running, {has_failed} AS has_failed
    FROM {source} ORDER BY s.last_update_time DESC, s.id DESC LIMIT {limit}
) s
JOIN users u ON u.id = s.user_id
LEFT JOIN api_keys k ON k.id = s.api_key_id AND k.organization_id = $1
LEFT JOIN LATERAL (
    SELECT left(CASE jsonb_typeof(content)
                    WHEN 'string' THEN content #>> '{{}}'
                    WHEN 'array' THEN jsonb_path_query_first(content, '$[*] ? (@.type == "text").text') #>> '{{}}'
                END, {title_characters}) AS text,
           CASE WHEN jsonb_typeof(content) = 'array' THEN
               ARRAY(SELECT left(part ->> 'type', 32) FROM jsonb_array_elements(content) AS part LIMIT 20)
           END AS parts
    FROM (
        SELECT CASE WHEN size_bytes <= {most_bytes} THEN content END AS content
        FROM messages WHERE session_id = s.id AND role = 'user' ORDER BY id LIMIT 1
    ) message
) first ON true
LEFT JOIN LATERAL (
    SELECT -sum(amount) AS credits, array_agg(DISTINCT agent) FILTER (WHERE reference LIKE 'turn:%') AS agents
    FROM ledger_entries WHERE session_id = s.id
) spent ON true
ORDER BY s.last_update_time DESC, s.id DESC
"""

_SELECT_KEYS: Final = """
SELECT id, name FROM api_keys WHERE organization_id = $1 AND ($2::text IS NULL OR user_id = $2)
ORDER BY created_at DESC LIMIT $3
"""
_SELECT_USERS: Final = """
SELECT u.id, u.email FROM memberships m JOIN users u ON u.id = m.user_id WHERE m.organization_id = $1
ORDER BY u.email LIMIT $2
"""

_SELECT_REQUEST: Final = """
SELECT h.reference, h.user_id, u.email, h.api_key_id, k.name AS key_name, h.agent, h.model, h.session_id, h.turn_id,
       h.created_at, h.ended_at, h.state, h.amount, s.public_id AS session_name
FROM credit_holds h
LEFT JOIN users u ON u.id = h.user_id
LEFT JOIN api_keys k ON k.id = h.api_key_id
LEFT JOIN sessions s ON s.id = h.session_id AND s.organization_id = $1
WHERE h.organization_id = $1 AND h.request_id = $2 AND ($3::text IS NULL OR h.user_id = $3)
ORDER BY h.created_at DESC LIMIT $4
"""


async def find_sessions(
    tx: Transaction, organization_id: str, public_id: str, *, user_id: str | None
) -> list[SessionRow]:
    """The sessions of that name: one at most if a user is given, otherwise up to two."""
    named = "sessions s WHERE s.organization_id = $1 AND s.public_id = $2 AND ($3::text IS NULL OR s.user_id = $3)"
    return await select_sessions(tx, named, [organization_id, storable_text(public_id), user_id], limit=2)


async def find_session(
    tx: Transaction, organization_id: str, session_id: uuid.UUID, *, user_id: str | None
) -> SessionRow | None:
    """The session with that row, if it is the user's; None: of any user."""
    own = "sessions s WHERE s.organization_id = $1 AND s.id = $2 AND ($3::text IS NULL OR s.user_id = $3)"
    found = await select_sessions(tx, own, [organization_id, session_id, user_id], limit=1)
    return found[0] if found else None


async def select_sessions(tx: Transaction, source: str, values: Sequence[object], *, limit: int) -> list[SessionRow]:
    """Sessions with what lists show of them, the last active first.

    Args:
        tx: the transaction.
        source: SQL of what is selected from: rows `s` of `sessions`, of the organization that is `$1`.
        values: the parameters.
        limit: how many at most.
    """
    sql = _SELECT_SESSIONS.format(
        is_running=_IS_RUNNING,
        has_failed=_HAS_FAILED,
        # Written out, so that a plan that is kept for all parameters knows how few rows these are.
        limit=int(limit),
        source=source,
        title_characters=_TITLE_CHARACTERS,
        most_bytes=_MOST_TITLE_BYTES,
    )
    return [
        SessionRow(**{**dict(row), "first_parts": row["first_parts"] or (), "agents": row["agents"]})
        for row in await tx.fetch(sql, *values)
    ]


async def list_keys(tx: Transaction, organization_id: str, *, user_id: str | None) -> list[tuple[str, str]]:
    """The ids and names of the newest keys, of one user or of all."""
    rows = await tx.fetch(_SELECT_KEYS, organization_id, user_id, _MOST_CHOICES)
    return [(row["id"], row["name"]) for row in rows]


async def list_users(tx: Transaction, organization_id: str) -> list[tuple[str, str]]:
    """The ids and addresses of the first members."""
    return [(row["id"], row["email"]) for row in await tx.fetch(_SELECT_USERS, organization_id, _MOST_CHOICES)]


@dataclass(frozen=True)
class RequestedAction:
    """A turn, or an attempt of a generation, that a request has caused: what was held for it."""

    reference: str
    user_id: str | None
    email: str | None
    api_key_id: str | None
    key_name: str | None
    agent: str | None
    model: str | None
    session_id: uuid.UUID | None
    turn_id: str | None
    created_at: datetime
    ended_at: datetime | None
    state: str
    amount: Decimal
    session_name: str | None


async def find_request(
    tx: Transaction, organization_id: str, request_id: str, *, user_id: str | None, limit: int = 50
) -> list[RequestedAction]:
    """What a request has caused, the newest first; of one user's only, or of all. Clients may choose the id again."""
    rows = await tx.fetch(_SELECT_REQUEST, organization_id, storable_text(request_id), user_id, limit)
    return [RequestedAction(**dict(row)) for row in rows]
