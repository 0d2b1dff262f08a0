"""The part of kept responses in the statements that end turns; see `app.chat.turns.turn_statements`."""

from app.webhook_endpoints import fragments as webhooks

KEPT_COLUMNS = {
    "kept_id": "text",
    "kept_user": "text",
    "kept_event": "text",
    "kept_response": "text",
    "kept_input": "text",
    "kept_thoughts": "text",
}


def kept(*, turns: str, freed: str, organization: str) -> dict[str, str]:
    """What keeps the response of each turn whose messages are stored, by the names of the expressions.

    Endpoints that want to know of it are told, once: not of one that is kept already.

    Args:
        turns: has `KEPT_COLUMNS`, and the `position` of each turn.
        freed: has the `position` of these turns, the `id` of the session, and `turn_id`.
        organization: a parameter with the id of the organization.
    """
    return {
        "kept": f"""
            INSERT INTO kept_responses (id, organization_id, user_id, session_id, turn_id, response, input, thoughts)
            SELECT t.kept_id, {organization}, t.kept_user, {freed}.id, {freed}.turn_id, t.kept_response::json,
                   t.kept_input::json, t.kept_thoughts::json
            FROM {turns} t JOIN {freed} USING (position)
            ON CONFLICT (id) DO NOTHING
            RETURNING id
        """,
        "happened": f"""
            SELECT t.kept_event AS type, t.kept_id AS subject, t.kept_response AS data
            FROM {turns} t JOIN kept ON kept.id = t.kept_id
        """,
        **webhooks.told("happened", organization=organization),
    }
