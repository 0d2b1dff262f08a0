"""What is learnt of an attempt from the vendor: which prediction it is, that there is news, and how it finished."""

import uuid
from collections.abc import Sequence
from datetime import timedelta

from app.core.database import Transaction
from app.core.json import storable_text
from app.generations.attempts import Outcome
from app.generations.states import CONDITIONS, State

_SET_PREDICTION = f"""
UPDATE generations SET prediction_id = $3, due_at = now() + $4, failures = 0
WHERE id = $1 AND retry_count = $2 AND {CONDITIONS[State.STARTING]}
RETURNING id
"""

_IS_KNOWN = "SELECT EXISTS (SELECT FROM generations WHERE prediction_id = $1)"

_SET_OUTCOMES = f"""
UPDATE generations SET outcome = finished.json, output_url = finished.url, due_at = now(), failures = 0
FROM unnest($1::uuid[], $2::int[], $3::jsonb[], $4::text[]) AS finished (generation_id, attempt, json, url)
WHERE id = finished.generation_id AND retry_count = finished.attempt AND {CONDITIONS[State.RUNNING]}
RETURNING id
"""

# A prediction that belongs to another content is not this one's.
_NOTE_CALLBACK = f"""
UPDATE generations c SET due_at = now(), prediction_id = coalesce(prediction_id, $4)
WHERE id = $1 AND retry_count = $2 AND webhook_nonce = $3
  AND ({CONDITIONS[State.STARTING]} OR {CONDITIONS[State.RUNNING]})
  AND (prediction_id = $4 OR prediction_id IS NULL)
  AND NOT EXISTS (SELECT FROM generations o WHERE o.prediction_id = $4 AND o.id <> c.id)
RETURNING id
"""


async def set_prediction(
    tx: Transaction, generation_id: uuid.UUID, attempt: int, prediction_id: str, first_poll: timedelta
) -> bool:
    """Write down which prediction the attempt is, to be polled after `first_poll`. False if it has one or has ended."""
    return await tx.fetchval(_SET_PREDICTION, generation_id, attempt, prediction_id, first_poll) is not None


async def is_prediction_known(tx: Transaction, prediction_id: str) -> bool:
    """Whether the prediction belongs to an attempt already."""
    return bool(await tx.fetchval(_IS_KNOWN, prediction_id))


async def set_outcomes(tx: Transaction, outcomes: Sequence[Outcome]) -> int:
    """Store how the vendor finished attempts, because it forgets outputs after an hour.

    Returns:
        For how many of them this was news.
    """
    rows = await tx.fetch(
        _SET_OUTCOMES,
        [outcome.attempt.generation_id for outcome in outcomes],
        [outcome.attempt.number for outcome in outcomes],
        [outcome.json for outcome in outcomes],
        [outcome.output_url and storable_text(outcome.output_url) for outcome in outcomes],
    )
    return len(rows)


async def note_callback(
    tx: Transaction, generation_id: uuid.UUID, attempt: int, nonce: str, prediction_id: str
) -> bool:
    """Make an attempt due for a poll because the vendor called back.

    An attempt whose create call never came back learns its prediction this way. False if nothing waits for the news.
    """
    return await tx.fetchval(_NOTE_CALLBACK, generation_id, attempt, nonce, prediction_id) is not None
