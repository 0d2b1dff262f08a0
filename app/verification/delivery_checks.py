"""Checks that everything that was delivered was metered: the files of content, and the answers of turns."""

from app.chat.turns.turn import hold_reference
from app.credits.models import EventKind, HoldState
from app.credits.references import generation_reference_sql
from app.generations.states import Status
from app.sessions.messages import MessageRole

_ATTEMPT = generation_reference_sql("c.id", "c.retry_count")
_TURN = f"'{hold_reference('')}' || m.turn_id"
# The JSON text of an empty content.
_EMPTY_BYTES = 2

CHECKS = (
    f"""
    SELECT format('content %s: completed with %s files, but its event says %s', c.id, count(o.storage_path), e.outputs)
    FROM generations c
    JOIN metering_events e ON e.hold_reference = {_ATTEMPT} AND e.kind = '{EventKind.GENERATION}'
    LEFT JOIN outputs o ON o.generation_id = c.id AND o.attempt = c.retry_count AND o.size_bytes IS NOT NULL
    WHERE c.status = '{Status.COMPLETED}'
    GROUP BY c.id, e.id, e.outputs HAVING count(o.storage_path) IS DISTINCT FROM e.outputs
    """,
    f"""
    SELECT format('content %s: it is %s, but a generation was metered for it', c.id, c.status)
    FROM generations c
    JOIN metering_events e ON e.hold_reference = {_ATTEMPT} AND e.kind = '{EventKind.GENERATION}'
    WHERE c.status <> '{Status.COMPLETED}'
    """,
    # What a client sends in the name of the assistant has no agent. An open hold will still be settled. One that has
    # ended may be pruned; an answer may be stored a while after that end.
    f"""
    SELECT format('%s: it answered, but %s', m.reference,
                  CASE WHEN h.id IS NULL THEN 'nothing was held for it' ELSE 'no model call was metered for it' END)
    FROM (SELECT DISTINCT {_TURN} AS reference FROM messages m
          JOIN sessions s ON s.id = m.session_id
          LEFT JOIN seal_marks k ON k.organization_id = s.organization_id
          WHERE role = '{MessageRole.ASSISTANT}' AND agent IS NOT NULL AND size_bytes > {_EMPTY_BYTES}
            AND coalesce(m.created_at >= k.pruned_before + interval '1 day', true)) m
    LEFT JOIN credit_holds h ON h.reference = m.reference
    WHERE h.id IS NULL
       OR (h.state <> '{HoldState.OPEN}' AND h.calls_opened > 0 AND h.superseded_by IS NULL AND NOT EXISTS (
           SELECT FROM metering_events e WHERE e.hold_reference = m.reference AND e.prompt_tokens IS NOT NULL))
    """,
)
