"""The parts of idempotency keys in the statements that admit and end turns: common table expressions.

They are for keys that nobody has used yet, and for claims that nobody has taken over; the rest is `service`'s. Whoever
puts them together says where the values come from; see `app.chat.turns.turn_statements`.

The version before looks for keys in `idempotency_keys`; see `older_version`.
"""

from typing import Final

# Of a claim, or of its response, by their types. The organization is another column.
KEY_COLUMNS: Final = {"key_user": "text", "route": "text", "key": "text", "claim_id": "text"}

_OF_USER = "(k.organization_id, k.route, k.key, k.user_id) = ({organization}, t.route, t.key, t.key_user)"
_OF_ANYBODY = "(o.organization_id, o.route, o.key) = ({organization}, t.route, t.key)"


def unused(claims: str, *, organization: str) -> str:
    """The condition that nobody has used any of the keys."""
    return f"""
    NOT EXISTS (SELECT FROM {claims} t JOIN user_idempotency_keys k ON {_OF_USER.format(organization=organization)})
    AND NOT EXISTS (SELECT FROM {claims} t JOIN idempotency_keys o ON {_OF_ANYBODY.format(organization=organization)})
    """


def claimed(claims: str, *, organization: str, lease: str, lifetime: str, condition: str) -> str:
    """Claims these keys in their order, if the condition is true: a row for each key that nobody else has claimed.

    `claims` has `KEY_COLUMNS`, `request_hash` and `reference`, that of the hold.
    """
    return f"""
    INSERT INTO user_idempotency_keys (organization_id, user_id, route, key, request_hash, claim_id, lease_until,
                                       expires_at, hold_reference)
    SELECT {organization}, key_user, route, key, request_hash, claim_id, now() + {lease}, now() + {lifetime}, reference
    FROM {claims} WHERE {condition} ORDER BY route, key, key_user
    ON CONFLICT DO NOTHING
    RETURNING organization_id, route, key, request_hash, claim_id, lease_until, expires_at, hold_reference
    """


def shown(claimed: str, *, condition: str) -> str:
    """Shows what `claimed` has claimed to the version before, if the condition is true: a row for each that it sees."""
    return f"""
    INSERT INTO idempotency_keys (organization_id, route, key, request_hash, claim_id, lease_until, expires_at,
                                  hold_reference)
    SELECT * FROM {claimed} WHERE {condition} ORDER BY route, key
    ON CONFLICT DO NOTHING
    RETURNING key
    """


def locked(turns: str, *, organization: str) -> str:
    """The `position` of each turn whose claim is still its own, in both versions' eyes. These claims are locked."""
    return f"""
    SELECT t.position FROM {turns} t
    JOIN user_idempotency_keys k ON {_OF_USER.format(organization=organization)} AND k.claim_id = t.claim_id
    JOIN idempotency_keys o ON {_OF_ANYBODY.format(organization=organization)} AND o.claim_id = t.claim_id
    WHERE k.response IS NULL ORDER BY k.route, k.key, k.user_id FOR UPDATE OF k, o
    """


def answered(*, turns: str, ended: str, organization: str) -> dict[str, str]:
    """What stores the `response` of each turn that has `ended`, by the names of the expressions."""
    stored = f"SET response = t.response::json, lease_until = NULL FROM {turns} t JOIN {ended} USING (position)"
    of_user, of_anybody = (each.format(organization=organization) for each in (_OF_USER, _OF_ANYBODY))
    return {
        "answered": f"UPDATE user_idempotency_keys k {stored} WHERE {of_user} AND k.claim_id = t.claim_id",
        "answer_shown": f"UPDATE idempotency_keys o {stored} WHERE {of_anybody} AND o.claim_id = t.claim_id",
    }
