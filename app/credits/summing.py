"""Sums the ledger up by days, which a worker does every few seconds; see `app.credits.spend_days`."""

import logging
from collections import deque
from time import monotonic

from app.core.database import Database
from app.core.errors import ServiceUnavailableError
from app.credits import spend_days

logger = logging.getLogger(__name__)

_BATCH = 2000
# A round of a worker's loop must not take longer than a minute.
_MOST_SECONDS = 20.0


async def sum_up_spend(database: Database) -> int:
    """Add what all ledgers have got since the last time to the sums of their days.

    Any number of workers may do so at once: each takes the organizations that no other is at. What one round does not
    manage, as in the first rounds over an old ledger, is left to the next. An organization that fails delays no other.

    Returns:
        How many entries were added.
    """
    async with database.transaction() as tx:
        behind = deque(await spend_days.find_behind(tx))
    deadline = monotonic() + _MOST_SECONDS
    added = 0
    while behind and monotonic() < deadline:
        organization_id = behind.popleft()
        count = await _sum_up(database, organization_id)
        added += count
        if count == _BATCH:
            # There is more, for which the others do not wait.
            behind.append(organization_id)
    return added


async def _sum_up(database: Database, organization_id: str) -> int:
    """Add one batch of an organization's entries, in a transaction of its own."""
    try:
        async with database.transaction() as tx:
            return await spend_days.sum_up(tx, organization_id, _BATCH)
    except ServiceUnavailableError:
        raise
    except Exception:  # the others must get their sums; it is tried again in the next round
        logger.exception("spend_not_summed_up", extra={"organization_id": organization_id})
        return 0
