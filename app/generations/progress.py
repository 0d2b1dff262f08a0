"""What the vendor reports about an attempt: the id of its prediction, that there is news, and how it finished."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.core.database import Transaction
from app.core.json import storable_text
from app.core.statements import Statements
from app.generations import attempt_history, create_calls
from app.generations.attempts import ClaimedAttempt, Origin, Outcome
from app.generations.create_calls import Surplus
from app.generations.states import CONDITIONS, State

_LOCK = "SELECT FROM generations WHERE id = $1 FOR UPDATE"

_SET_PREDICTION = f"""
UPDATE generations SET prediction_id = $4, due_at = now() + $5, is_leased = false, failures = 0
WHERE id = $1 AND retry_count = $2 AND claim = $3 AND {CONDITIONS[State.STARTING]}
RETURNING id
"""

# The plain case: the claim is still its holder's, its own call is what the response answers, and nobody has or had the
# prediction. If somebody gets it meanwhile, a unique index refuses the whole statement. Rows that another transaction
# has locked are left out: nobody waits for them here.
_ACCEPT_PLAIN = f"""
WITH given AS (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::bigint[], $4::text[])
    WITH ORDINALITY AS given (id, number, held_claim, prediction, item)
), held AS (
    SELECT given.* FROM generations g JOIN given USING (id)
    WHERE g.retry_count = given.number AND g.claim = held_claim AND {CONDITIONS[State.STARTING]}
    ORDER BY id FOR UPDATE OF g SKIP LOCKED
), unknown AS MATERIALIZED (
    SELECT * FROM held
    WHERE {attempt_history.try_lock_sql("prediction")} AND NOT EXISTS ({attempt_history.owners_sql("= prediction")})
      AND NOT EXISTS (SELECT FROM create_calls k WHERE k.generation_id = held.id AND k.attempt = held.number
                                                   AND k.prediction_id IS NOT NULL)
), answered AS (
    UPDATE create_calls k SET prediction_id = prediction, result = 'accepted', due_at = NULL,
                              ended_at = coalesce(k.ended_at, clock_timestamp())
    FROM unknown u
    WHERE k.generation_id = u.id AND k.attempt = u.number AND k.claim = held_claim AND k.prediction_id IS NULL
      AND k.result IS DISTINCT FROM 'refused'
    RETURNING u.*
), running AS (
    UPDATE generations g SET prediction_id = prediction, due_at = now() + $5, is_leased = false, failures = 0
    FROM answered a WHERE g.id = a.id
    RETURNING {attempt_history.RECORDED_COLUMNS}, item
), noted AS ({attempt_history.record_sql("running")})
SELECT item FROM running
"""

_SET_OUTCOMES = f"""
WITH known AS (
    UPDATE generations SET outcome = finished.json, output_url = finished.url, due_at = now(), is_leased = false,
                           failures = 0
    FROM unnest($1::uuid[], $2::int[], $3::text[], $4::jsonb[], $5::text[])
         AS finished (generation_id, attempt, prediction, json, url)
    WHERE id = finished.generation_id AND retry_count = finished.attempt AND prediction_id = finished.prediction
      AND {CONDITIONS[State.RUNNING]}
    RETURNING id, retry_count
), noted AS (
    UPDATE attempts a SET finished_at = now() FROM known WHERE a.generation_id = id AND a.number = retry_count
)
SELECT id FROM known
"""

_ATTEMPT = """
SELECT a.prediction_id, a.ended_at IS NOT NULL AS has_ended FROM attempts a WHERE a.generation_id = $1 AND a.number = $2
"""

_FIND_CALLED_BACK = f"""
SELECT prediction_id, (SELECT ARRAY[o.request_id, o.traceparent] FROM attempts o
                       WHERE o.generation_id = $1 AND o.number = $2) AS origin
FROM generations
WHERE id = $1 AND retry_count = $2 AND webhook_nonce = $3
  AND ({CONDITIONS[State.STARTING]} OR {CONDITIONS[State.RUNNING]})
FOR UPDATE
"""

_NOTE_CALLBACK = """
UPDATE generations SET due_at = now(), prediction_id = $2, is_leased = false WHERE id = $1
"""


@dataclass(frozen=True)
class Accepted:
    """What the response to a create call of a claimed attempt says: which prediction it has made."""

    attempt: ClaimedAttempt
    prediction_id: str


async def set_prediction(tx: Transaction, attempt: ClaimedAttempt, prediction_id: str, first_poll: timedelta) -> bool:
    """Store the prediction of a claimed attempt, to be polled after `first_poll`. False if the claim was lost.

    Nobody else may give the prediction to another attempt meanwhile: see `attempt_history.lock_prediction`.
    """
    if await tx.fetchval(_SET_PREDICTION, *attempt.key, prediction_id, first_poll) is None:
        return False
    await attempt_history.record(tx, attempt.generation_id, attempt.number)
    return True


async def accept_plain(run: Statements, accepted: Sequence[Accepted], first_poll: timedelta) -> list[bool]:
    """Write down the responses to several create calls; see `accept`.

    Returns:
        For each in order whether that was done. If not, nothing was: `accept` does what is to be done with it.
    """
    rows = await run.fetch(
        _ACCEPT_PLAIN,
        *(list(column) for column in zip(*(each.attempt.key for each in accepted), strict=True)),
        [each.prediction_id for each in accepted],
        first_poll,
    )
    done = {row["item"] for row in rows}
    return [item in done for item in range(1, len(accepted) + 1)]


async def accept(
    tx: Transaction, attempt: ClaimedAttempt, prediction_id: str, first_poll: timedelta, *, lease: timedelta
) -> list[Surplus]:
    """Write down what the response to a create call says: which prediction it has made.

    It becomes the attempt's prediction if the claim was not lost. If it was, and the attempt still waits for one,
    whoever claims it next finds the prediction with its calls.

    Returns:
        The predictions that the attempt does not need: the caller cancels them, or others do after a lease.
    """
    await attempt_history.lock_prediction(tx, prediction_id)
    if await attempt_history.belongs_elsewhere(tx, prediction_id, attempt.generation_id, attempt.number):
        # An equal orphan has adopted it meanwhile; the one of that orphan is left for this attempt.
        await create_calls.lose(tx, attempt, look_after=lease)
        return []
    await tx.execute(_LOCK, attempt.generation_id)
    await set_prediction(tx, attempt, prediction_id, first_poll)
    await create_calls.record(tx, attempt.generation_id, attempt.number, prediction_id, claim=attempt.claim)
    return await cancel_surplus(tx, attempt.generation_id, attempt.number, after=lease)


async def cancel_surplus(
    tx: Transaction, generation_id: uuid.UUID, attempt: int, *, after: timedelta = timedelta(0)
) -> list[Surplus]:
    """Have the predictions of the attempt's calls cancelled that it does not need; none while it may still need one."""
    row = await tx.fetchrow(_ATTEMPT, generation_id, attempt)
    if row is None or not (row["prediction_id"] or row["has_ended"]):
        return []
    return await create_calls.order_cancels(tx, generation_id, attempt, but=row["prediction_id"], after=after)


async def set_outcomes(tx: Transaction, outcomes: Sequence[Outcome]) -> int:
    """Store how the vendor finished attempts, because it forgets outputs after an hour.

    Returns:
        How many of them were not known before.
    """
    rows = await tx.fetch(
        _SET_OUTCOMES,
        [outcome.attempt.generation_id for outcome in outcomes],
        [outcome.attempt.number for outcome in outcomes],
        [outcome.attempt.prediction_id for outcome in outcomes],
        [outcome.json for outcome in outcomes],
        [outcome.output_url and storable_text(outcome.output_url) for outcome in outcomes],
    )
    return len(rows)


async def note_callback(
    tx: Transaction, generation_id: uuid.UUID, attempt: int, nonce: str, prediction_id: str
) -> Origin | None:
    """Make an attempt due for a poll because the vendor called back.

    An attempt whose create call never returned learns its prediction this way.

    Returns:
        The attempt's origin; None if no attempt waits for the call.
    """
    await attempt_history.lock_prediction(tx, prediction_id)
    row = await tx.fetchrow(_FIND_CALLED_BACK, generation_id, attempt, nonce)
    if row is None or row["prediction_id"] not in {None, prediction_id}:
        return None
    # A prediction that belongs to another attempt cannot belong to this one, too.
    if await attempt_history.belongs_elsewhere(tx, prediction_id, generation_id, attempt):
        return None
    await tx.execute(_NOTE_CALLBACK, generation_id, prediction_id)
    if row["prediction_id"] is None:
        await attempt_history.record(tx, generation_id, attempt)
        await create_calls.record(tx, generation_id, attempt, prediction_id)
    return Origin.from_column(row["origin"])
