"""What is stored about the vendor's predictions, and what was metered of an upstream's models."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime

from asyncpg import Record

from app.core.database import Transaction, one_of
from app.credits.models import EntryKind, EventKind
from app.credits.references import generation_reference_sql
from app.generations.models import AttemptEnding, CreateResult
from app.generations.states import ENDED
from app.reconciliation.prediction_differences import Difference, DifferenceKind, KnownRun, LostCall
from app.reconciliation.usage_differences import Usage, UsageKey

_ENDED = one_of("g.status", ENDED)

# A generation is charged for one use. The entry has its quantities for ever, the event may be pruned.
_CHARGED_TIME = "coalesce(e.predict_time, (l.quantities -> 0 ->> 'predict_time')::numeric)"

# An attempt may have more predictions than its own: `named` are those whose webhook names it. Older generations have
# no rows of attempts and create calls for all that they have made.
_KNOWN = f"""
WITH named AS (
    SELECT prediction_id, generation_id, number AS attempt FROM attempts WHERE prediction_id = ANY($1::text[])
    UNION
    SELECT prediction_id, generation_id, attempt FROM create_calls WHERE prediction_id = ANY($1::text[])
    UNION
    SELECT prediction_id, id, retry_count FROM generations WHERE prediction_id = ANY($1::text[])
    UNION
    SELECT * FROM unnest($2::text[], $3::uuid[], $4::int[])
)
SELECT n.prediction_id, n.generation_id, n.attempt, {_CHARGED_TIME} AS predict_time,
       a.ended_at IS NOT NULL OR n.attempt < g.retry_count OR {_ENDED} AS is_ended,
       l.id IS NOT NULL AND n.prediction_id = coalesce(
           a.prediction_id, CASE WHEN g.retry_count = n.attempt THEN g.prediction_id END) AS is_charged
FROM named n
JOIN generations g ON g.id = n.generation_id
LEFT JOIN attempts a ON a.generation_id = n.generation_id AND a.number = n.attempt
LEFT JOIN ledger_entries l ON l.reference = {generation_reference_sql("n.generation_id", "n.attempt")}
                          AND l.kind = '{EntryKind.CHARGE}'
LEFT JOIN metering_events e ON e.call_id = l.reference
"""

_LOST = f"""
SELECT c.generation_id, c.attempt, g.model, c.sent_at, coalesce(c.ended_at, c.sent_at) AS ended_at
FROM create_calls c JOIN generations g ON g.id = c.generation_id
WHERE c.prediction_id IS NULL AND (c.result IS NULL OR c.result = '{CreateResult.LOST}')
  AND c.sent_at BETWEEN $1 AND $2
ORDER BY c.sent_at
"""

_NOT_LISTED = f"""
SELECT a.prediction_id, a.generation_id, a.number AS attempt, g.model, a.started_at, {_CHARGED_TIME} AS predict_time
FROM attempts a
JOIN generations g ON g.id = a.generation_id
JOIN ledger_entries l ON l.reference = {generation_reference_sql("a.generation_id", "a.number")}
                     AND l.kind = '{EntryKind.CHARGE}'
LEFT JOIN metering_events e ON e.call_id = l.reference
WHERE a.ending = '{AttemptEnding.COMPLETED}' AND a.started_at BETWEEN $2 AND $3
  AND NOT EXISTS (SELECT FROM unnest($1::text[]) AS listed (id) WHERE listed.id = a.prediction_id)
  AND a.prediction_id IS NOT NULL
ORDER BY a.started_at
"""

_PRUNED_BEFORE = "SELECT max((pruned_before AT TIME ZONE 'UTC')::date) FROM seal_marks"
_METERED = f"""
SELECT e.day, coalesce(m.upstream_model, m.name) AS model, sum(e.prompt_tokens)::bigint AS prompt_tokens,
       sum(coalesce(e.completion_tokens, 0))::bigint AS completion_tokens, count(*) AS requests
FROM (SELECT *, (coalesce(ended_at, recorded_at) AT TIME ZONE 'UTC')::date AS day FROM metering_events
      WHERE kind = '{EventKind.MODEL_CALL}' AND prompt_tokens IS NOT NULL) e
JOIN prices p ON p.id = e.price_id JOIN models m ON m.name = p.model_name
WHERE m.upstream IS NOT DISTINCT FROM $1 AND e.day BETWEEN $2 AND $3
GROUP BY 1, 2
"""


async def find_pruned_before(tx: Transaction) -> date | None:
    """The first day (UTC) of which all organizations have all their metering events; None if nothing is pruned."""
    found: date | None = await tx.fetchval(_PRUNED_BEFORE)
    return found


async def find_known(
    tx: Transaction, prediction_ids: Sequence[str], named: Sequence[tuple[str, uuid.UUID, int]]
) -> dict[str, KnownRun]:
    """What is stored about these predictions, by their ids.

    Args:
        tx: the transaction.
        prediction_ids: the vendor's ids.
        named: for each prediction whose webhook names an attempt: its id, the content and the attempt.
    """
    ids, contents, attempts = ([item[column] for item in named] for column in range(3))
    rows = await tx.fetch(_KNOWN, prediction_ids, ids, contents, attempts)
    # If several attempts name a prediction, it is that of the attempt that was charged for it.
    known = [_known_from_row(row) for row in rows]
    return {run.prediction_id: run for run in sorted(known, key=lambda run: run.is_charged)}


def _known_from_row(row: Record) -> KnownRun:
    return KnownRun(
        prediction_id=row["prediction_id"],
        content_id=row["generation_id"],
        attempt=row["attempt"],
        is_ended=row["is_ended"],
        is_charged=bool(row["is_charged"]),
        predict_time=row["predict_time"],
    )


async def find_lost_calls(tx: Transaction, since: datetime, until: datetime) -> list[LostCall]:
    """The create calls of that time whose predictions, if there are any, were never found."""
    return [
        LostCall(row["generation_id"], row["attempt"], row["model"], row["sent_at"], row["ended_at"])
        for row in await tx.fetch(_LOST, since, until)
    ]


async def find_charged_elsewhere(
    tx: Transaction, listed: Sequence[str], since: datetime, until: datetime
) -> list[Difference]:
    """The attempts of that time that were charged for a prediction which is not among the listed ones."""
    return [_not_listed_from_row(row) for row in await tx.fetch(_NOT_LISTED, listed, since, until)]


def _not_listed_from_row(row: Record) -> Difference:
    return Difference(
        kind=DifferenceKind.NOT_LISTED,
        prediction_id=row["prediction_id"],
        content_id=row["generation_id"],
        attempt=row["attempt"],
        model=row["model"],
        created_at=row["started_at"],
        charged_time=row["predict_time"],
    )


async def find_metered(tx: Transaction, upstream: str | None, first: date, last: date) -> dict[UsageKey, Usage]:
    """What was metered of an upstream's models from one day (UTC) to another; None is the default upstream."""
    rows = await tx.fetch(_METERED, upstream, first, last)
    return {
        UsageKey(row["day"], row["model"]): Usage(row["prompt_tokens"], row["completion_tokens"], row["requests"])
        for row in rows
    }
