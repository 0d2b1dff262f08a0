"""Responses that clients ask for again, and go on from. They are of one user, as sessions are."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.core.database import Database, Transaction
from app.kept_responses import repository
from app.kept_responses.errors import PreviousResponseNotFoundError, ResponseNotFoundError
from app.kept_responses.keeping import Keeping, Kept, Owner
from app.sessions.lease import LeasedSession


async def get_response(tx: Transaction, owner: Owner, response_id: str) -> dict[str, Any]:
    """The response as it was shown.

    Raises:
        ResponseNotFoundError: the owner has none of this id.
    """
    found = await repository.find(tx, owner, [response_id])
    if not found:
        raise ResponseNotFoundError
    return found[0].response


async def get_input(tx: Transaction, owner: Owner, response_id: str) -> Sequence[Mapping[str, Any]]:
    """The items of the request for the response, in order.

    Raises:
        ResponseNotFoundError: the owner has none of this id.
    """
    items = await repository.find_input(tx, owner, response_id)
    if items is None:
        raise ResponseNotFoundError
    return items


async def delete_response(tx: Transaction, owner: Owner, response_id: str) -> None:
    """Delete the response. The session keeps its messages.

    Raises:
        ResponseNotFoundError: the owner has none of this id.
    """
    if not await repository.delete(tx, owner, response_id):
        raise ResponseNotFoundError


async def get_previous(database: Database, owner: Owner, response_id: str) -> Kept:
    """The response that a request goes on from.

    Raises:
        PreviousResponseNotFoundError: the owner has none of this id.
    """
    found = await repository.find(database, owner, [response_id])
    if not found:
        raise PreviousResponseNotFoundError
    return found[0]


async def find_responses(database: Database, owner: Owner, ids: Sequence[str]) -> Mapping[str, Kept]:
    """Those of the owner's responses that have one of these ids."""
    return {kept.id: kept for kept in await repository.find(database, owner, ids)} if ids else {}


async def keep(tx: Transaction, owner: Owner, session: LeasedSession, keeping: Keeping) -> None:
    """Keep the response of a turn, in the transaction that ends it and before its lease ends. Nothing is kept twice."""
    await repository.insert(tx, owner, session.id, session.turn_id, keeping)
