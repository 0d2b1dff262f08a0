"""The part of kept responses in the statements that end turns; see `app.chat.turns.turn_statements`."""

KEPT_COLUMNS = {
    "kept_id": "text",
    "kept_user": "text",
    "kept_response": "text",
    "kept_input": "text",
    "kept_thoughts": "text",
}


def kept(*, turns: str, freed: str, organization: str) -> str:
    """Keeps the response of each turn whose messages are stored. `turns` has `KEPT_COLUMNS`.

    `freed` has the `position` of these turns, the `id` of the session, and `turn_id`.
    """
    return f"""
    INSERT INTO kept_responses (id, organization_id, user_id, session_id, turn_id, response, input, thoughts)
    SELECT t.kept_id, {organization}, t.kept_user, {freed}.id, {freed}.turn_id, t.kept_response::json,
           t.kept_input::json, t.kept_thoughts::json
    FROM {turns} t JOIN {freed} USING (position)
    ON CONFLICT (id) DO NOTHING
    """
