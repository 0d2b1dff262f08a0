"""The stream of a response whose events are stored: from any event on, and from any process."""

import asyncio
from collections.abc import AsyncIterator
from time import monotonic
from typing import Final

from app.core import sse
from app.core.database import Database
from app.core.errors import InvalidRequestError
from app.response_runs import service as runs
from app.response_runs.repository import Owner
from app.response_runs.stored_runs import StoredEvents

_LOOK_SECONDS: Final = 0.2


async def stored_events(
    database: Database, owner: Owner, response_id: str, found: StoredEvents, after: int
) -> AsyncIterator[bytes]:
    """Every event after the one of a number, as soon as it is stored, until the response has ended.

    If the response is deleted, or Postgres goes away, the stream breaks off: what is missing can be asked for again.

    Args:
        database: the database.
        owner: whose response it is.
        response_id: the response.
        found: what `read_events` has found after that event.
        after: the number.
    """
    quiet_since = monotonic()
    while True:
        piece, after = _joined(found, after)
        if piece or monotonic() >= quiet_since + sse.KEEP_ALIVE_SECONDS:
            yield piece or sse.KEEP_ALIVE
            quiet_since = monotonic()
        is_behind = after + 1 < found.next_event
        if not (is_behind or found.is_live):
            return
        if not is_behind:
            await asyncio.sleep(_LOOK_SECONDS)
        read = await _read(database, owner, response_id, after)
        if read is None:
            return
        found = read


def _joined(found: StoredEvents, after: int) -> tuple[bytes, int]:
    """What is found after the event of a number, and the number of the last event of it."""
    pieces = []
    for batch in found.batches:
        pieces.append(batch.after(after))
        after = max(after, batch.next - 1)
    return b"".join(pieces), after


async def _read(database: Database, owner: Owner, response_id: str, after: int) -> StoredEvents | None:
    """What is stored after the event of a number. None if that is gone."""
    try:
        return await runs.read_events(database, owner, response_id, after)
    except InvalidRequestError:
        return None
