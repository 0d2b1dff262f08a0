"""The parts of sessions in the statements that admit and end turns: common table expressions, each by its name.

Whoever puts them together says where the values come from; see `app.chat.turns.turn_statements`.
"""

_WRITTEN = "role, content, agent, tool_calls, tool_call_id, name, additions"


def begun(source: str, *, lease: str) -> str:
    """A new session, leased to its turn, for each row of `source`.

    The columns: `session_id`, `organization_id`, `user_id`, `session_name`, `api_key_id`, `turn_id`.
    """
    return f"""
    INSERT INTO sessions (id, organization_id, user_id, public_id, api_key_id, message_count, turn_id, turn_lease_until,
                          last_turn_failed)
    SELECT session_id, organization_id, user_id, session_name, api_key_id, 0, turn_id, now() + {lease}, false
    FROM {source}
    """


def locked(turns: str) -> str:
    """The sessions of the turns, locked in one order for all."""
    return f"""
    SELECT s.id FROM sessions s JOIN {turns} t ON t.session_id = s.id ORDER BY s.id FOR UPDATE OF s
    """


def freed(*, turns: str, locked: str, ended: str, messages: str) -> dict[str, str]:
    """What ends the leases of turns and stores their messages, by the names of the expressions.

    A turn that has lost its lease stores nothing.

    Args:
        turns: has the columns `position`, `session_id`, `turn_id`, `messages` (how many) and `has_failed`.
        locked: is what `locked` has found.
        ended: has the column `position`: of the turns for which this is done.
        messages: has the columns of a message, `turn` (the position of its turn) and `place`, by which it is stored.
    """
    written = ", ".join(f"m.{name}" for name in _WRITTEN.split(", "))
    return {
        "freed": f"""
            UPDATE sessions s
            SET message_count = message_count + t.messages, last_update_time = now(), turn_id = NULL,
                turn_lease_until = NULL, last_turn_failed = t.has_failed
            FROM {turns} t JOIN {ended} USING (position), {locked}
            WHERE {locked}.id = s.id AND s.id = t.session_id AND s.turn_id = t.turn_id
            RETURNING s.id, t.turn_id, t.position
        """,
        "stored": f"""
            INSERT INTO messages (session_id, turn_id, {_WRITTEN}, additions_bytes)
            SELECT freed.id, freed.turn_id, {written}, octet_length(m.additions::text)
            FROM freed JOIN {messages} m ON m.turn = freed.position ORDER BY m.turn, m.place
        """,
    }
