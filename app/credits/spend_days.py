"""What is spent each day: the SQL that sums the ledger up, and that reads the sums.

The sums of an organization are derived from its ledger up to its mark. Its entries are committed in the order of their
ids, because each is inserted under the lock of its account; so no entry below the mark can appear later. Whoever reads
adds what has been entered since, in the same statement: no figure is ever behind the ledger.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from enum import StrEnum

from asyncpg import Record

from app.core.database import Transaction
from app.credits.charge_lines import SPENT, charge_lines

# So many entries that are not summed up yet are read at once. More of them exist only before the first sums.
MOST_NEW_ENTRIES = 20_000

DIMENSIONS = "organization_id, day, api_key_id, user_id, agent, model"
_SUMS = "amount, charges, calls, prompt_tokens, completion_tokens, predict_time, outputs"
_DAY = "(created_at AT TIME ZONE 'UTC')::date"

# The lines of entries, summed up by what a row of `spend_days` is about.
SUMMED = f"""
    SELECT organization_id, {_DAY} AS day, coalesce(api_key_id, '') AS api_key_id, coalesce(user_id, '') AS user_id,
           coalesce(agent, '') AS agent, coalesce(model, '') AS model, sum(amount) AS amount,
           count(*) FILTER (WHERE number = 1 AND amount >= 0) AS charges, count(*) FILTER (WHERE amount >= 0) AS calls,
           coalesce(sum(prompt_tokens), 0) AS prompt_tokens, coalesce(sum(completion_tokens), 0) AS completion_tokens,
           coalesce(sum(predict_time), 0) AS predict_time, coalesce(sum(outputs), 0) AS outputs
    FROM lines GROUP BY 1, 2, 3, 4, 5, 6
"""

_BEHIND = """
SELECT a.organization_id
FROM credit_accounts a LEFT JOIN spend_marks m USING (organization_id)
CROSS JOIN LATERAL (
    SELECT id FROM ledger_entries l WHERE l.organization_id = a.organization_id ORDER BY id DESC LIMIT 1
) last
WHERE last.id > coalesce(m.entry_id, 0)
"""

_ADD_MARK = "INSERT INTO spend_marks (organization_id, entry_id) VALUES ($1, 0) ON CONFLICT DO NOTHING"
_LOCK_MARK = "SELECT entry_id FROM spend_marks WHERE organization_id = $1 FOR UPDATE SKIP LOCKED"

_SUM_UP = f"""
WITH next AS (
    SELECT * FROM ledger_entries WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3
), spent AS (
    SELECT * FROM next WHERE {SPENT}
), {charge_lines("spent")}, added AS (
    INSERT INTO spend_days AS s ({DIMENSIONS}, {_SUMS}) {SUMMED}
    ON CONFLICT ({DIMENSIONS}) DO UPDATE SET
        {", ".join(f"{name} = s.{name} + excluded.{name}" for name in _SUMS.split(", "))}
)
UPDATE spend_marks SET entry_id = (SELECT max(id) FROM next) WHERE organization_id = $1 AND EXISTS (SELECT FROM next)
RETURNING (SELECT count(*) FROM next)
"""

# $1 organization, $2 and $3 the first and the last day, $4 how many new entries at most, $5 one user or null.
_SPEND = f"""
    new AS (
        SELECT * FROM ledger_entries
        WHERE organization_id = $1
          AND id > coalesce((SELECT entry_id FROM spend_marks WHERE organization_id = $1), 0) AND {SPENT}
        ORDER BY id LIMIT $4
    ), {charge_lines("new")}, spend AS (
        SELECT day, api_key_id, user_id, agent, model, {_SUMS} FROM spend_days
        WHERE organization_id = $1 AND day BETWEEN $2 AND $3 AND ($5::text IS NULL OR user_id = $5)
        UNION ALL
        SELECT day, api_key_id, user_id, agent, model, {_SUMS} FROM ({SUMMED}) new_days
        WHERE day BETWEEN $2 AND $3 AND ($5::text IS NULL OR user_id = $5)
    )
"""
_SUM_OF_EACH = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in _SUMS.split(", "))


class Split(StrEnum):
    """What spending is told apart by. The value is the column's name."""

    MODEL = "model"
    KEY = "api_key_id"
    AGENT = "agent"
    USER = "user_id"


@dataclass(frozen=True, kw_only=True)
class Spend:
    """What was spent, in credits, and on how much use.

    Attributes:
        amount: credits; what was given back is subtracted.
        charges: entries of the ledger; of several models' one entry, it counts for that of the first call.
        calls: model calls and generations.
        prompt_tokens: of model calls.
        completion_tokens: of model calls.
        predict_time: of generations: seconds.
        outputs: of generations: files.
    """

    amount: Decimal = Decimal(0)
    charges: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    predict_time: Decimal = Decimal(0)
    outputs: int = 0

    def __add__(self, other: "Spend") -> "Spend":
        return Spend(**{one.name: getattr(self, one.name) + getattr(other, one.name) for one in fields(Spend)})


@dataclass(frozen=True)
class SpendOfDay:
    """What was spent in one day on one key, user, agent or model.

    Attributes:
        day: in UTC.
        name: the key's or user's id, or the agent's or model's name; empty for use without one; None for `others`.
        others: how many smaller ones the sum is of; 1 for one with a name.
        spend: the sums.
    """

    day: date
    name: str | None
    others: int
    spend: Spend


def _by_day(split: Split, *, is_picked: bool) -> str:
    picked = f"WHERE {split.value} = ANY($7::text[])" if is_picked else ""
    return f"""
    WITH {_SPEND}, named AS (
        SELECT {split.value} AS name, row_number() OVER (ORDER BY sum(amount) DESC, {split.value}) AS place
        FROM spend {picked} GROUP BY 1
    ), counted AS (
        SELECT name, place, (SELECT count(*) FROM named) AS names FROM named
    )
    SELECT spend.day, CASE WHEN place <= $6 THEN name END AS name, CASE WHEN place <= $6 THEN 1 ELSE names - $6 END
           AS others, {_SUM_OF_EACH}
    FROM spend JOIN counted ON counted.name = spend.{split.value}
    GROUP BY 1, 2, 3
    """


_TOTAL = f"WITH {_SPEND} SELECT {_SUM_OF_EACH} FROM spend"
_IS_BEHIND = """
SELECT count(*) >= $2 FROM (
    SELECT FROM ledger_entries
    WHERE organization_id = $1 AND id > coalesce((SELECT entry_id FROM spend_marks WHERE organization_id = $1), 0)
    ORDER BY id LIMIT $2
) new
"""


async def find_behind(tx: Transaction) -> Sequence[str]:
    """The organizations whose ledger has entries that are not summed up yet."""
    return [row["organization_id"] for row in await tx.fetch(_BEHIND)]


async def sum_up(tx: Transaction, organization_id: str, limit: int) -> int:
    """Add the organization's next entries to its sums. Returns how many; none while somebody else is doing so."""
    await tx.execute(_ADD_MARK, organization_id)
    mark = await tx.fetchval(_LOCK_MARK, organization_id)
    if mark is None:
        return 0
    return await tx.fetchval(_SUM_UP, organization_id, mark, limit) or 0


async def spend_by_day(
    tx: Transaction,
    organization_id: str,
    split: Split,
    *,
    first: date,
    last: date,
    most: int,
    user_id: str | None = None,
    picked: Sequence[str] = (),
) -> Sequence[SpendOfDay]:
    """What the organization has spent on each day and name, in no order. Days without spending are left out.

    Args:
        tx: the transaction.
        organization_id: whose spending.
        split: what it is told apart by.
        first: the first day, in UTC.
        last: the last day.
        most: so many names are told apart, by size. The others are summed up.
        user_id: only what this user has spent.
        picked: only these names; all if there is none.
    """
    values: list[object] = [organization_id, first, last, MOST_NEW_ENTRIES, user_id, most]
    if picked:
        values.append(list(picked))
    rows = await tx.fetch(_by_day(split, is_picked=bool(picked)), *values)
    return [SpendOfDay(row["day"], row["name"], row["others"], _spend(row)) for row in rows]


async def total_spend(
    tx: Transaction, organization_id: str, *, first: date, last: date, user_id: str | None = None
) -> Spend:
    """What the organization, or one of its users, has spent in these days (UTC)."""
    row = await tx.fetchrow(_TOTAL, organization_id, first, last, MOST_NEW_ENTRIES, user_id)
    return _spend(row) if row else Spend()


async def is_summing_up(tx: Transaction, organization_id: str) -> bool:
    """Whether there are more new entries than are read at once, so that the latest figures are not complete yet."""
    is_behind: bool = await tx.fetchval(_IS_BEHIND, organization_id, MOST_NEW_ENTRIES)
    return is_behind


def _spend(row: Record) -> Spend:
    return Spend(**{one.name: row[one.name] for one in fields(Spend)})
