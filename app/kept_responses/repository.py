import uuid
from collections.abc import Sequence
from typing import Any

from app.core.database import Database, Transaction
from app.core.json import storable_text
from app.kept_responses import fragments
from app.kept_responses.keeping import Keeping, Kept, Owner, columns_of

# A session that is being removed in pieces has another name.
_OF_OWNER = """
FROM kept_responses r JOIN sessions s ON s.id = r.session_id AND s.public_id <> 'pruned-' || s.id
WHERE r.organization_id = $1 AND r.user_id = $2
"""
_FIND = f"SELECT r.id, r.session_id, r.turn_id, r.response, r.thoughts {_OF_OWNER} AND r.id = ANY($3::text[])"
_FIND_INPUT = f"SELECT r.input {_OF_OWNER} AND r.id = $3"

_VALUES = ", ".join(f"${number}::{kind}" for number, kind in enumerate(fragments.KEPT_COLUMNS.values(), 4))
# $1 the organization, $2 the session, $3 the turn; then `KEPT_COLUMNS`.
_PARTS = {
    f"turns (position, {', '.join(fragments.KEPT_COLUMNS)})": f"SELECT 1, {_VALUES}",
    "freed": "SELECT 1 AS position, id, turn_id FROM sessions WHERE id = $2 AND turn_id = $3",
    **fragments.kept(turns="turns", freed="freed", organization="$1"),
}
_INSERT = f"WITH {', '.join(f'{name} AS ({sql})' for name, sql in _PARTS.items())} SELECT FROM kept"

_DELETE = "DELETE FROM kept_responses WHERE organization_id = $1 AND user_id = $2 AND id = $3 RETURNING id"


async def find(run: Database | Transaction, owner: Owner, ids: Sequence[str]) -> Sequence[Kept]:
    """Those of the owner's kept responses that have one of these ids."""
    rows = await run.fetch(_FIND, *owner, [storable_text(each) for each in ids])
    return [Kept.from_row(row) for row in rows]


async def find_input(tx: Transaction, owner: Owner, response_id: str) -> list[Any] | None:
    """The items of the request for one of the owner's responses. None if there is no such response."""
    items: list[Any] | None = await tx.fetchval(_FIND_INPUT, *owner, storable_text(response_id))
    return items


async def insert(tx: Transaction, owner: Owner, session_id: uuid.UUID, turn_id: str, keeping: Keeping) -> None:
    """Keep a response and tell of it, unless it is kept already or its turn has lost the session."""
    organization_id, user_id = owner
    await tx.execute(_INSERT, organization_id, session_id, turn_id, *columns_of(keeping, user_id))


async def delete(tx: Transaction, owner: Owner, response_id: str) -> bool:
    """Delete one of the owner's responses. False if there is none of this id."""
    return await tx.fetchval(_DELETE, *owner, storable_text(response_id)) is not None
