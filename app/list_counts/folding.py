"""Adds the changes of lists to their counts, which a worker does every few seconds."""

from time import monotonic

from app.core.database import Database
from app.list_counts import repository

_BATCH = 5000
# A round of a worker's loop must not take longer than a minute.
_MOST_SECONDS = 20.0


async def fold_list_counts(database: Database) -> int:
    """Add what has changed since the last time, in batches with a transaction each.

    Any number of workers may do so at once. What is not added yet costs those who read a total a little time, and
    nothing else.

    Returns:
        How many changes were added.
    """
    deadline = monotonic() + _MOST_SECONDS
    folded, count = 0, _BATCH
    while count == _BATCH and monotonic() < deadline:
        async with database.transaction() as tx:
            count = await repository.fold(tx, _BATCH)
        folded += count
    return folded
