"""The calls that asked the vendor for predictions: one row each, written before the call is sent.

What a call's response says is a fact, however late it comes, and is written down whatever has become of the claim under
which the call was sent. A lost call may have made a prediction: it is *due* until the vendor's list has been searched
for it often enough. A prediction that no attempt needs is surplus: its call is due until the vendor has cancelled it.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self

from asyncpg import Record

from app.core.database import Transaction
from app.generations.attempts import ClaimedAttempt
from app.generations.states import CONDITIONS, State

# The vendor ends a run after half an hour at the latest, and does not list a call for the first time after an hour.
_HORIZON = timedelta(hours=1)

# Conditions on a row: what is waited for, what is to be looked for, and what is to be cancelled.
IS_OPEN = "prediction_id IS NULL AND result IS NULL"
IS_LOST_DUE = "due_at <= now() AND prediction_id IS NULL AND result = 'lost'"
IS_CANCEL_DUE = "due_at <= now() AND prediction_id IS NOT NULL"

# Calls whose claim is not known have negative numbers.
_UNKNOWN_CLAIM = """
(SELECT least(min(x.claim), 0) - 1 FROM create_calls x WHERE x.generation_id = {generation} AND x.attempt = {attempt})
"""

_REFUSE = """
UPDATE create_calls SET result = 'refused', ended_at = coalesce(ended_at, clock_timestamp()), due_at = NULL
WHERE generation_id = $1 AND attempt = $2 AND claim = $3 AND prediction_id IS NULL
"""

_LOSE = """
UPDATE create_calls SET result = 'lost', ended_at = clock_timestamp(), due_at = now() + $4
WHERE generation_id = $1 AND attempt = $2 AND claim = $3 AND result IS NULL
"""

_LOSE_SILENT = f"""
UPDATE create_calls SET result = 'lost', ended_at = now(), due_at = now() + $2
WHERE {IS_OPEN} AND sent_at <= now() - $1::interval
"""

_LOSE_OF = """
UPDATE create_calls k SET result = 'lost', ended_at = now(), due_at = now() + $3
FROM unnest($1::uuid[], $2::int[]) AS orphan (id, number)
WHERE k.generation_id = orphan.id AND k.attempt = orphan.number AND k.result IS NULL
"""

# The version before writes no calls down.
_ADD_UNKNOWN = f"""
INSERT INTO create_calls (generation_id, attempt, claim, sent_at, ended_at, result, due_at)
SELECT g.id, g.retry_count, {_UNKNOWN_CLAIM.format(generation="g.id", attempt="g.retry_count")},
       g.started_at, now(), 'lost', now() + $2
FROM generations g
WHERE g.id = ANY ($1) AND NOT EXISTS (
    SELECT FROM create_calls k
    WHERE k.generation_id = g.id AND k.attempt = g.retry_count AND k.sent_at >= g.started_at
)
"""

# The call of the claim itself, or else one that was lost, or else one that is open.
_RECORD = f"""
WITH known AS (
    SELECT FROM create_calls WHERE prediction_id = $4
), chosen AS (
    SELECT id FROM create_calls
    WHERE generation_id = $1 AND attempt = $2 AND prediction_id IS NULL AND result IS DISTINCT FROM 'refused'
      AND NOT EXISTS (SELECT FROM known)
    ORDER BY coalesce(claim = $3, false) DESC, result IS NULL, sent_at, id LIMIT 1
), recorded AS (
    UPDATE create_calls SET prediction_id = $4, ended_at = coalesce(ended_at, clock_timestamp()), due_at = NULL,
           result = CASE WHEN claim = $3 THEN 'accepted' ELSE coalesce(result, 'accepted') END
    WHERE id = (SELECT id FROM chosen)
)
INSERT INTO create_calls (generation_id, attempt, claim, ended_at, result, prediction_id)
SELECT $1, $2, {_UNKNOWN_CLAIM.format(generation="$1", attempt="$2")}, clock_timestamp(), 'accepted', $4
WHERE NOT EXISTS (SELECT FROM known) AND NOT EXISTS (SELECT FROM chosen)
"""

_ORDER_CANCELS = """
UPDATE create_calls SET due_at = now() + $4
WHERE generation_id = $1 AND attempt = $2 AND prediction_id IS DISTINCT FROM $3 AND prediction_id IS NOT NULL
RETURNING id, prediction_id
"""

_ORDER_CANCEL = """
UPDATE create_calls SET due_at = now() + $2 WHERE prediction_id = $1 RETURNING id, prediction_id
"""

# The longer ago, the longer until the next time.
_NEXT = "CASE WHEN now() - ended_at < $3::interval THEN now() + GREATEST($2::interval, now() - ended_at) END"

_CLAIM_CANCELS = f"""
UPDATE create_calls SET due_at = {_NEXT}
WHERE id IN (
    SELECT id FROM create_calls WHERE {IS_CANCEL_DUE}
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING id, prediction_id
"""

_END_CANCEL = "UPDATE create_calls SET due_at = NULL WHERE id = $1 AND prediction_id IS NOT NULL"

_CLAIM_LOST = f"""
UPDATE create_calls SET due_at = {_NEXT}
WHERE id IN (
    SELECT id FROM create_calls WHERE {IS_LOST_DUE}
    ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING id
"""

_LOST = """
SELECT k.id, k.generation_id, k.attempt, k.sent_at, k.ended_at, g.model, g.input
FROM create_calls k JOIN generations g ON g.id = k.generation_id
WHERE (k.id = ANY ($1) OR (k.generation_id, k.attempt) IN (SELECT * FROM unnest($2::uuid[], $3::int[])))
  AND k.prediction_id IS NULL AND k.result = 'lost'
ORDER BY k.sent_at, k.id
"""

_MATCH = """
UPDATE create_calls SET prediction_id = $2, due_at = now() + $3
WHERE id = $1 AND prediction_id IS NULL AND result = 'lost'
RETURNING id
"""

_RIVALS = f"""
SELECT DISTINCT g.model FROM create_calls o JOIN generations g ON g.id = o.generation_id
WHERE o.prediction_id IS NULL AND o.id <> $1 AND o.sent_at > now() - interval '1 day'
  AND (o.result IS NULL AND o.sent_at <= $3
       OR $4 AND o.result = 'lost' AND EXISTS (
           SELECT FROM generations w
           WHERE w.id = o.generation_id AND w.retry_count = o.attempt AND {CONDITIONS[State.STARTING]}
       ))
  AND g.input = (SELECT input FROM generations WHERE id = $2)
"""

_IS_OPEN = """
SELECT EXISTS (
    SELECT FROM create_calls
    WHERE generation_id = $1 AND attempt = $2 AND result IS NULL AND prediction_id IS NULL
)
"""


@dataclass(frozen=True)
class LostCall:
    """A create call without a response, whose prediction, if there is one, is not known."""

    id: int
    generation_id: uuid.UUID
    attempt: int
    sent_at: datetime
    ended_at: datetime
    model: str
    input: Mapping[str, Any]

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The call in a row of `create_calls` with model and input."""
        return cls(
            id=row["id"],
            generation_id=row["generation_id"],
            attempt=row["attempt"],
            sent_at=row["sent_at"],
            ended_at=row["ended_at"],
            model=row["model"],
            input=row["input"],
        )


@dataclass(frozen=True)
class Surplus:
    """A prediction that no attempt needs, and the create call that made it."""

    call_id: int
    prediction_id: str


def open_sql(rows: str) -> str:
    """What writes down that claimed attempts are about to call the vendor: of rows of `generations`, in SQL."""
    return f"INSERT INTO create_calls (generation_id, attempt, claim) SELECT id, retry_count, claim FROM {rows}"


async def refuse(tx: Transaction, attempt: ClaimedAttempt) -> None:
    """Write down that the claim's call certainly made no prediction, or was not sent."""
    await tx.execute(_REFUSE, *attempt.key)


async def lose(tx: Transaction, attempt: ClaimedAttempt, *, look_after: timedelta) -> None:
    """Write down that the claim's call has no usable response. Its prediction is looked for after some time."""
    await tx.execute(_LOSE, *attempt.key, look_after)


async def lose_silent(tx: Transaction, *, older_than: timedelta, look_after: timedelta) -> None:
    """Take calls for lost of which nothing was heard for so long that their claims have ended."""
    await tx.execute(_LOSE_SILENT, older_than, look_after)


async def lose_calls_of(tx: Transaction, orphans: Sequence[ClaimedAttempt], *, look_after: timedelta) -> None:
    """Take the open calls of attempts for lost whose claims have ended."""
    generations, numbers, _claims = zip(*(orphan.key for orphan in orphans), strict=True)
    await tx.execute(_LOSE_OF, generations, numbers, look_after)
    await tx.execute(_ADD_UNKNOWN, generations, look_after)


async def record(
    tx: Transaction, generation_id: uuid.UUID, attempt: int, prediction_id: str, *, claim: int | None = None
) -> None:
    """Write down that one of the attempt's calls made the prediction: that of the claim, if it is known."""
    await tx.execute(_RECORD, generation_id, attempt, claim, prediction_id)


async def order_cancels(
    tx: Transaction, generation_id: uuid.UUID, attempt: int, *, but: str | None, after: timedelta = timedelta(0)
) -> list[Surplus]:
    """Have the predictions of the attempt's calls cancelled, except one. Those that have ended stay as they are.

    Whoever cancels them at once says how long `after` the others are to try it.
    """
    rows = await tx.fetch(_ORDER_CANCELS, generation_id, attempt, but, after)
    return [Surplus(row["id"], row["prediction_id"]) for row in rows]


async def order_cancel(tx: Transaction, prediction_id: str, *, after: timedelta) -> list[Surplus]:
    """Have one prediction cancelled; see `order_cancels`."""
    return [Surplus(row["id"], row["prediction_id"]) for row in await tx.fetch(_ORDER_CANCEL, prediction_id, after)]


async def claim_cancels(tx: Transaction, limit: int, lease: timedelta) -> list[Surplus]:
    """Claim predictions that are to be cancelled. Unless `end_cancel` follows, they are due again."""
    rows = await tx.fetch(_CLAIM_CANCELS, limit, lease, _HORIZON)
    return [Surplus(row["id"], row["prediction_id"]) for row in rows]


async def end_cancel(tx: Transaction, call_id: int) -> None:
    """Write down that the vendor has cancelled the call's prediction, or that it had ended."""
    await tx.execute(_END_CANCEL, call_id)


async def claim_lost(
    tx: Transaction, orphans: Sequence[ClaimedAttempt], limit: int, lease: timedelta
) -> list[LostCall]:
    """Claim lost calls that are due to be looked for, and those of the orphans; in the order in which they were sent.

    They are due again after a while, which grows.
    """
    due = [row["id"] for row in await tx.fetch(_CLAIM_LOST, limit, lease, _HORIZON)]
    if not due and not orphans:
        return []
    generations, numbers = [orphan.generation_id for orphan in orphans], [orphan.number for orphan in orphans]
    return [LostCall.from_row(row) for row in await tx.fetch(_LOST, due, generations, numbers)]


async def match(tx: Transaction, call: LostCall, prediction_id: str, *, cancel_after: timedelta | None = None) -> bool:
    """Write down that a lost call made the prediction; False if the call is not lost any more.

    If `cancel_after` is given, the prediction is surplus, and is cancelled by then.
    """
    return await tx.fetchval(_MATCH, call.id, prediction_id, cancel_after) is not None


async def find_rivals(tx: Transaction, call: LostCall, sent_before: datetime, *, with_waiting: bool) -> set[str]:
    """The models of other calls with the same input that may have made what this call seems to have made.

    They are in flight, or, `with_waiting`, lost while their attempt still waits for a prediction.
    """
    rows = await tx.fetch(_RIVALS, call.id, call.generation_id, sent_before, with_waiting)
    return {row["model"] for row in rows}


async def is_open(tx: Transaction, generation_id: uuid.UUID, attempt: int) -> bool:
    """Whether one of the attempt's calls is in flight."""
    return bool(await tx.fetchval(_IS_OPEN, generation_id, attempt))
