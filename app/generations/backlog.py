"""How much waits and runs over all organizations, for the metrics."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from app.core.database import Database
from app.generations.states import CONDITIONS, PROCESSING, State
from app.webhook_endpoints.sending import OVERDUE_SECONDS

# Nothing is counted past it, so that a long queue does not make the counting dear.
MOST: Final = 100_000

_WAITING = (State.PARKED, State.PENDING, State.COPYING)


def _count(condition: str) -> str:
    return f"(SELECT count(*) FROM (SELECT FROM generations WHERE {condition} LIMIT {MOST}) few)"


def _oldest(condition: str) -> str:
    """For how many seconds the oldest due row waits; 0 if none is due."""
    return (
        "coalesce((SELECT extract(epoch FROM now() - min(due_at)) FROM generations"
        f" WHERE {condition} AND due_at <= now()), 0)::float8"
    )


# Each part uses the index of its state; the rows at the vendor are read, at most as many as their plans allow at once.
_BACKLOG = f"""
SELECT {", ".join(f"{_count(CONDITIONS[state])} AS {state}" for state in _WAITING)}, vendors.starting, vendors.running,
       {_oldest(CONDITIONS[State.PENDING])} AS start, {_oldest(CONDITIONS[State.RUNNING])} AS poll,
       {_oldest(CONDITIONS[State.COPYING])} AS copy, {OVERDUE_SECONDS} AS webhook
FROM (SELECT count(*) FILTER (WHERE prediction_id IS NULL) AS starting, count(prediction_id) AS running
      FROM (SELECT prediction_id FROM generations WHERE {PROCESSING} AND outcome IS NULL LIMIT {MOST}) few) vendors
"""


@dataclass(frozen=True)
class Backlog:
    """What waits and what runs.

    Attributes:
        rows: how many generations are in each state that is no end, counted up to `MOST`.
        oldest: by step (`start`, `poll`, `copy`, `webhook`), for how many seconds the oldest due row waits for it.
    """

    rows: Mapping[State, int]
    oldest: Mapping[str, float]


async def read_backlog(database: Database) -> Backlog:
    """The backlog now, by one statement.

    Raises:
        ServiceUnavailableError: Postgres is away.
    """
    (row,) = await database.fetch(_BACKLOG)
    states = (*_WAITING, State.STARTING, State.RUNNING)
    return Backlog(
        {state: row[state.value] for state in states},
        {step: row[step] for step in ("start", "poll", "copy", "webhook")},
    )
