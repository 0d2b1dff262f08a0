"""The SQL of a transcript: its messages, and what its turns have done and cost."""

import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from app.admin.sessions.turn_rows import (
    AttemptRow,
    ContentRow,
    EntryRow,
    EventRow,
    HoldRow,
    MessageRow,
    OutputRow,
    SessionTotals,
    TurnRows,
)
from app.core.database import Transaction
from app.core.json import read_json
from app.credits.references import LATE, SUPERSEDED, generation_reference_sql, turn_reference

# What is read of the messages of one page, in bytes of JSON. Pictures that clients have sent are not shown.
_MOST_PAGE_BYTES: Final = 8 * 1024 * 1024
_MOST_CALL_BYTES: Final = 256 * 1024
_MOST_PARTS: Final = 40

_SELECT_MESSAGES: Final = f"""
SELECT id, turn_id, role, agent, name, tool_call_id, created_at, superseded_by, size_bytes, is_shown,
       CASE WHEN is_shown AND jsonb_typeof(content) = 'string' THEN left(content #>> '{{{{}}}}', $3) END AS text,
       CASE WHEN is_shown AND jsonb_typeof(content) = 'string' THEN length(content #>> '{{{{}}}}') END AS characters,
       CASE WHEN is_shown AND jsonb_typeof(content) = 'array' THEN (
           SELECT jsonb_agg(jsonb_build_object(
               'type', left(part ->> 'type', 32), 'text', left(coalesce(part ->> 'text', part ->> 'refusal'), $3),
               'url', CASE WHEN part #>> '{{{{image_url,url}}}}' LIKE 'http%'
                           THEN left(part #>> '{{{{image_url,url}}}}', 2000) END
           ))::text FROM (SELECT part FROM jsonb_array_elements(content) AS part LIMIT {_MOST_PARTS}) parts
       ) END AS parts,
       CASE WHEN is_shown AND octet_length(tool_calls::text) <= {_MOST_CALL_BYTES} THEN tool_calls::text END AS calls,
       tool_calls IS NOT NULL AS has_calls
FROM (
    SELECT *, sum(size_bytes) OVER (ORDER BY id) <= {_MOST_PAGE_BYTES}
              OR row_number() OVER (ORDER BY id) = 1 AS is_shown
    FROM (SELECT id FROM messages WHERE session_id = $1 ORDER BY id OFFSET $2 LIMIT {{limit}}) page
    JOIN messages USING (id)
) shown
ORDER BY id
"""

_SELECT_HOLDS: Final = """
SELECT reference, turn_id, request_id, agent, model, api_key_id, created_at, ended_at, state, amount, charged
FROM credit_holds WHERE organization_id = $1 AND reference = ANY ($2)
"""

# A turn that has stored nothing yet, or was refused by its model, is known by its hold alone.
_SELECT_HOLD_OF_TURN: Final = """
SELECT session_id FROM credit_holds WHERE organization_id = $1 AND reference = $2
"""

_SELECT_POSITION: Final = """
SELECT count(*) FILTER (WHERE m.id < turn.first) FROM messages m,
       (SELECT min(id) AS first FROM messages WHERE session_id = $1 AND turn_id = $2) turn
WHERE m.session_id = $1 AND turn.first IS NOT NULL
"""

_SELECT_RUNNING: Final = (
    "SELECT turn_id FROM sessions WHERE organization_id = $1 AND id = $2 AND turn_lease_until > now()"
)

_SELECT_EVENTS: Final = """
SELECT call_id, hold_reference, kind, agent, model, prompt_tokens, completion_tokens, predict_time, outputs,
       is_estimated, cost, began_at, first_token_at, ended_at
FROM metering_events WHERE organization_id = $1 AND hold_reference = ANY ($2) ORDER BY id
"""

_SELECT_ENTRIES: Final = """
SELECT kind, reference, amount FROM ledger_entries WHERE organization_id = $1 AND reference = ANY ($2) ORDER BY id
"""

_SELECT_CONTENTS: Final = """
SELECT id, turn_id, model, status, content_type, file_token, retry_count, error_message, credit_cost, created_at,
       completed_at
FROM generations WHERE organization_id = $1 AND turn_id = ANY ($2) ORDER BY created_at, id LIMIT 200
"""

_SELECT_ATTEMPTS: Final = f"""
SELECT generation_id, number, created_at, started_at, ended_at, ending, left(error_message, 300) AS error_message,
       {generation_reference_sql("generation_id", "number")} AS reference
FROM attempts WHERE organization_id = $1 AND generation_id = ANY ($2) ORDER BY generation_id, number
"""

_SELECT_OUTPUTS: Final = """
SELECT o.generation_id, o.storage_path, o.content_type
FROM outputs o JOIN generations g ON g.id = o.generation_id AND g.retry_count = o.attempt
WHERE g.organization_id = $1 AND g.status = 'completed' AND g.id = ANY ($2) AND o.size_bytes IS NOT NULL
ORDER BY o.generation_id, o.position
"""

_SELECT_TOTALS: Final = """
SELECT coalesce(-sum(amount), 0) AS credits,
       coalesce(sum((quantity ->> 'prompt_tokens')::numeric), 0)::bigint AS prompt_tokens,
       coalesce(sum((quantity ->> 'completion_tokens')::numeric), 0)::bigint AS completion_tokens,
       coalesce(sum((quantity ->> 'outputs')::numeric), 0)::bigint AS outputs
FROM (
    SELECT CASE WHEN number = 1 THEN amount ELSE 0 END AS amount, quantity FROM (
        SELECT l.amount, q.quantity, q.number
        FROM ledger_entries l LEFT JOIN LATERAL
             jsonb_array_elements(coalesce(l.quantities, '[{}]')) WITH ORDINALITY AS q(quantity, number) ON true
        WHERE l.session_id = $2 AND l.organization_id = $1
    ) entries
) sums
"""

_SELECT_HELD: Final = """
SELECT coalesce(sum(amount), 0) FROM credit_holds WHERE organization_id = $1 AND state = 'open' AND session_id = $2
"""


async def list_messages(
    tx: Transaction, session_id: uuid.UUID, *, begin: int, limit: int, most_characters: int
) -> list[MessageRow]:
    """The messages of a session from that position on, oldest first. Of a text the beginning is read.

    The session must have been found for its organization.
    """
    rows = await tx.fetch(_SELECT_MESSAGES.format(limit=int(limit)), session_id, begin, most_characters)
    return [
        MessageRow(
            position=begin + index,
            **{**dict(row), "parts": _read(row["parts"]), "calls": _read(row["calls"])},
        )
        for index, row in enumerate(rows)
    ]


async def find_turns(
    tx: Transaction, organization_id: str, turn_ids: Sequence[str], *, others: Sequence[str] = ()
) -> TurnRows:
    """What is stored of these turns, and of other holds, which are given by their references."""
    contents = [ContentRow(**row) for row in await _fetch(tx, _SELECT_CONTENTS, organization_id, turn_ids)]
    made = [content.id for content in contents]
    attempts = [AttemptRow(**row) for row in await _fetch(tx, _SELECT_ATTEMPTS, organization_id, made)]
    outputs = [OutputRow(**row) for row in await _fetch(tx, _SELECT_OUTPUTS, organization_id, made)]
    own = [*map(turn_reference, turn_ids), *(attempt.reference for attempt in attempts)]
    references = list(dict.fromkeys([*own, *others]))
    events = [EventRow(**row) for row in await _fetch(tx, _SELECT_EVENTS, organization_id, references)]
    changes = [
        *references,
        *(f"{SUPERSEDED}:{reference}" for reference in references),
        *(f"{LATE}:{event.call_id}" for event in events),
    ]
    return TurnRows(
        holds=[HoldRow(**row) for row in await _fetch(tx, _SELECT_HOLDS, organization_id, references)],
        events=events,
        contents=contents,
        attempts=attempts,
        outputs=outputs,
        entries=[EntryRow(**row) for row in await _fetch(tx, _SELECT_ENTRIES, organization_id, changes)],
    )


async def session_of_turn(tx: Transaction, organization_id: str, turn_id: str) -> uuid.UUID | None:
    """The session of a turn of the organization, by its hold."""
    found: uuid.UUID | None = await tx.fetchval(_SELECT_HOLD_OF_TURN, organization_id, turn_reference(turn_id))
    return found


async def find_position(tx: Transaction, session_id: uuid.UUID, turn_id: str) -> int:
    """How many messages of the session come before the turn; 0 if it has none."""
    position: int = await tx.fetchval(_SELECT_POSITION, session_id, turn_id)
    return position


async def running_turn(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> str | None:
    """The turn that is running on a session."""
    found: str | None = await tx.fetchval(_SELECT_RUNNING, organization_id, session_id)
    return found


async def find_totals(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> SessionTotals:
    """What a session has used and cost, by the ledger."""
    row = await tx.fetchrow(_SELECT_TOTALS, organization_id, session_id)
    assert row is not None  # noqa: S101 - an aggregate has one row
    return SessionTotals(**dict(row))


async def find_held(tx: Transaction, organization_id: str, session_id: uuid.UUID) -> Decimal:
    """What is held for a session at the moment."""
    held: Decimal = await tx.fetchval(_SELECT_HELD, organization_id, session_id)
    return held


def _read(text: str | None) -> Any:
    return None if text is None else read_json(text)


async def _fetch(
    tx: Transaction, sql: str, organization_id: str, wanted: Sequence[str] | Sequence[uuid.UUID]
) -> list[dict[str, Any]]:
    return [dict(row) for row in await tx.fetch(sql, organization_id, list(wanted))] if wanted else []
