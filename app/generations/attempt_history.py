"""What is known of each attempt, for ever: whose it was, which prediction it had and how it ended."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.core.attribution import ATTRIBUTION_COLUMNS, Attribution, attribution_parameters
from app.core.database import Transaction
from app.generations.attempts import Attempt

_MISSING_TIMES = 3
_MISSING_FOR = timedelta(seconds=30)

_KEY = "hashtextextended('prediction:' || {}, 0)"
_LOCK = f"SELECT pg_advisory_xact_lock({_KEY.format('$1')})"

_ADD = f"""
INSERT INTO attempts (generation_id, number, {", ".join(ATTRIBUTION_COLUMNS)})
VALUES ($1, $2, {attribution_parameters(3)})
ON CONFLICT (generation_id, number) DO NOTHING
"""

# What `record_sql` reads of a generation's row, which is called `g` where they are read.
RECORDED_COLUMNS = (
    "g.id, g.retry_count, g.organization_id, g.user_id, g.model, g.session_id, g.turn_id, g.prediction_id, g.status,"
    " g.created_at, g.started_at, g.completed_at, g.error_message"
)


def record_sql(rows: str) -> str:
    """What writes down what rows of generations say of their current attempts. What is known already is not changed.

    Attempts of the version before have no row yet. That version could also give an attempt the prediction of another
    one.

    Args:
        rows: an expression with `RECORDED_COLUMNS`.
    """
    return f"""
    INSERT INTO attempts AS a (generation_id, number, organization_id, user_id, model, session_id, turn_id,
                               prediction_id, created_at, started_at, ended_at, ending, error_message)
    SELECT id, retry_count, organization_id, user_id, model, session_id, turn_id,
           CASE WHEN NOT EXISTS (SELECT FROM attempts o WHERE o.prediction_id = g.prediction_id
                                 AND (o.generation_id, o.number) <> (g.id, g.retry_count)) THEN prediction_id END,
           CASE WHEN retry_count = 0 THEN created_at ELSE coalesce(started_at, now()) END,
           CASE WHEN prediction_id IS NOT NULL THEN started_at END,
           completed_at, CASE WHEN completed_at IS NOT NULL THEN status END, error_message
    FROM {rows} g
    ON CONFLICT (generation_id, number) DO UPDATE
    SET prediction_id = coalesce(a.prediction_id, excluded.prediction_id),
        started_at = coalesce(a.started_at, excluded.started_at),
        ended_at = coalesce(a.ended_at, excluded.ended_at),
        ending = coalesce(a.ending, excluded.ending),
        error_message = coalesce(a.error_message, excluded.error_message),
        missing_count = CASE WHEN a.prediction_id IS NULL AND excluded.prediction_id IS NOT NULL
                             THEN 0 ELSE a.missing_count END,
        missing_since = CASE WHEN a.prediction_id IS NULL AND excluded.prediction_id IS NOT NULL
                             THEN NULL ELSE a.missing_since END
    """


_RECORD = record_sql("(SELECT * FROM generations WHERE id = $1 AND retry_count = $2)")


def owners_sql(is_one: str) -> str:
    """The attempts, as `generation_id` and `number`, that have or had a prediction of which the condition is true."""
    # Each of the three has an index of its own.
    return f"""
    SELECT prediction_id, generation_id, number FROM attempts WHERE prediction_id {is_one}
    UNION ALL
    SELECT prediction_id, generation_id, attempt FROM create_calls WHERE prediction_id {is_one}
    UNION ALL
    SELECT prediction_id, id, retry_count FROM generations WHERE prediction_id {is_one}
    """


def try_lock_sql(prediction: str) -> str:
    """Takes the lock of `lock_prediction`, if nobody has it: in SQL, of an expression."""
    return f"pg_try_advisory_xact_lock({_KEY.format(prediction)})"


_OWNERS = owners_sql("= ANY ($1)")
_BELONGS_ELSEWHERE = f"SELECT EXISTS (SELECT FROM ({_OWNERS}) AS o WHERE (o.generation_id, o.number) <> ($2, $3))"

_KNOWN = f"SELECT DISTINCT prediction_id FROM ({_OWNERS}) AS o"

_NOTE_MISSING = """
UPDATE attempts SET missing_count = missing_count + 1, missing_since = coalesce(missing_since, now())
WHERE generation_id = $1 AND number = $2 AND prediction_id IS NOT DISTINCT FROM $3
RETURNING missing_count, now() - missing_since AS missing_for
"""

_CLEAR_MISSING = """
UPDATE attempts a SET missing_count = 0, missing_since = NULL
FROM unnest($1::uuid[], $2::int[]) AS found (generation_id, number)
WHERE a.generation_id = found.generation_id AND a.number = found.number
"""


@dataclass(frozen=True)
class Missing:
    """How often in a row, and for how long, the vendor has not known an attempt's prediction, or its model."""

    count: int
    duration: timedelta

    @property
    def is_believed(self) -> bool:
        """Whether the vendor has said so often enough, and for long enough. One of its servers may be wrong."""
        return self.count >= _MISSING_TIMES and self.duration >= _MISSING_FOR


async def add(tx: Transaction, generation_id: uuid.UUID, number: int, attribution: Attribution) -> None:
    """Insert the row of an attempt that was just requested."""
    await tx.execute(_ADD, generation_id, number, *attribution.values())


async def record(tx: Transaction, generation_id: uuid.UUID, number: int) -> None:
    """Write down what the generation's row says of its current attempt. What is known already is not changed."""
    await tx.execute(_RECORD, generation_id, number)


async def lock_prediction(tx: Transaction, prediction_id: str) -> None:
    """Lock, so that no other transaction decides to which attempt the prediction belongs."""
    await tx.execute(_LOCK, prediction_id)


async def belongs_elsewhere(tx: Transaction, prediction_id: str, generation_id: uuid.UUID, attempt: int) -> bool:
    """Whether another attempt, or a create call of one, has or had the prediction."""
    return bool(await tx.fetchval(_BELONGS_ELSEWHERE, [prediction_id], generation_id, attempt))


async def find_known(tx: Transaction, prediction_ids: Sequence[str]) -> set[str]:
    """Those of the predictions that an attempt or a create call has or had."""
    return {row["prediction_id"] for row in await tx.fetch(_KNOWN, list(prediction_ids))}


async def note_missing(tx: Transaction, attempt: Attempt) -> Missing:
    """Count that the vendor did not know the attempt's prediction; or its model, if it has no prediction yet."""
    await record(tx, attempt.generation_id, attempt.number)
    row = await tx.fetchrow(_NOTE_MISSING, attempt.generation_id, attempt.number, attempt.prediction_id)
    return Missing(row["missing_count"], row["missing_for"]) if row else Missing(0, timedelta(0))


async def clear_missing(tx: Transaction, attempts: Sequence[Attempt]) -> None:
    """Forget that the vendor did not know the attempts' predictions: it does."""
    await tx.execute(
        _CLEAR_MISSING, [attempt.generation_id for attempt in attempts], [attempt.number for attempt in attempts]
    )
