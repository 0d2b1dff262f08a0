"""The SQL of seals: what an organization's charges come to by day and price, once each was computed from its events.

A ledger is sealed from its first entry on, some thousand entries at a time, in the order of their ids, which is that of
their commits. Nothing is sealed that may still change: the ledger's newest days, and entries that are not summed up in
`spend_days` yet. An entry that does not follow from its events stops the sealing of its organization there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from app.core.database import Transaction
from app.credits.models import EntryKind, HoldState
from app.credits.references import LATE
from app.verification.cost_sql import cost_sql

# A key is taken over within 24 hours, and a turn's process tries to settle it for less than that. No transaction takes
# an hour. So nothing of a day changes three days after it, and no entry of before then is still to come.
SEALED_AFTER_DAYS = 3
_MARGIN = "interval '1 hour'"

_SUMS = "calls, prompt_tokens, completion_tokens, predict_time, outputs, cost"
_USED = "prompt_tokens, completion_tokens, predict_time, outputs, cost"
_DAY = "(created_at AT TIME ZONE 'UTC')::date"

_BY_KEYS = "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off"
# Organizations with entries that could be sealed, and those that were not looked at today.
_BEHIND = f"""
SELECT a.organization_id FROM credit_accounts a LEFT JOIN seal_marks m USING (organization_id)
WHERE m.sealed_before IS NULL OR m.sealed_before < $1::timestamptz - {_MARGIN}
ORDER BY a.organization_id
"""
_HORIZON = (
    f"SELECT date_trunc('day', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' - interval '{SEALED_AFTER_DAYS} days'"
)
_ADD_MARK = "INSERT INTO seal_marks (organization_id, entry_id) VALUES ($1, 0) ON CONFLICT DO NOTHING"
_LOCK_MARK = "SELECT entry_id FROM seal_marks WHERE organization_id = $1 FOR UPDATE SKIP LOCKED"

# The next entries: up to the first one that is too new or not summed up. $1 organization, $2 mark, $3 how many, $4 the
# horizon.
_NEXT = """
WITH next AS (
    SELECT id, created_at >= $4::timestamptz AS is_new,
           id > coalesce((SELECT entry_id FROM spend_marks WHERE organization_id = $1), 0) AS is_behind
    FROM ledger_entries WHERE organization_id = $1 AND id > $2 ORDER BY id LIMIT $3
), first AS (
    SELECT min(id) FILTER (WHERE is_new) AS new, min(id) FILTER (WHERE is_behind) AS behind FROM next
)
SELECT (SELECT max(id) FROM next WHERE id < coalesce(LEAST(new, behind), 9223372036854775807)) AS last,
       behind IS NOT NULL AND behind < coalesce(new, 9223372036854775807) AS waits,
       (SELECT count(*) FROM next) < $3 OR new IS NOT NULL AS is_end
FROM first
"""

# $1 organization, the entries after $2 up to $3.
_SLICE = f"""
slice AS MATERIALIZED (
    SELECT * FROM ledger_entries
    WHERE organization_id = $1 AND id > $2 AND id <= $3 AND kind = '{EntryKind.CHARGE}'
)
"""
# The events of the charge `c`.
_METERED = f"""
    SELECT e.* FROM metering_events e JOIN credit_holds h ON h.reference = e.hold_reference
    WHERE e.hold_reference = c.reference AND e.organization_id = c.organization_id
      AND (e.recorded_at <= h.ended_at OR (e.cost > 0 AND h.superseded_by IS NULL))
      AND NOT EXISTS (SELECT FROM ledger_entries late WHERE late.reference = '{LATE}:' || e.call_id OFFSET 0)
    UNION ALL
    SELECT e.* FROM metering_events e
    WHERE starts_with(c.reference, '{LATE}:') AND e.call_id = substr(c.reference, {len(LATE) + 2})
      AND e.organization_id = c.organization_id
"""
_EVENT_SUMS = f"""
    SELECT price_id, count(*) AS calls,
           {", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in _USED.split(", "))}
    FROM ({_METERED}) metered GROUP BY price_id
"""
_DIFFER = " OR ".join(f"coalesce(s.{name}, 0) <> coalesce(q.{name}, 0)" for name in _SUMS.split(", "))
_FAULTS_OF_A_CHARGE = f"""
    SELECT format('the quantities at price %s are not those of its events', price_id) AS fault
    FROM ({_EVENT_SUMS}) s FULL JOIN jsonb_to_recordset(c.quantities)
        AS q (price_id int, calls bigint, prompt_tokens numeric, completion_tokens numeric, predict_time numeric,
              outputs numeric, cost numeric) USING (price_id)
    WHERE {_DIFFER}
    UNION ALL
    SELECT 'it has no settled hold of that amount'
    WHERE NOT starts_with(c.reference, '{LATE}:') AND NOT EXISTS (
        SELECT FROM credit_holds h WHERE h.reference = c.reference AND h.organization_id = c.organization_id
        AND h.state = '{HoldState.SETTLED}' AND h.charged = -c.amount OFFSET 0)
    UNION ALL
    SELECT format('charged %s, but its events cost %s', -c.amount, total.cost)
    FROM (SELECT sum(cost) AS cost FROM ({_METERED}) metered) total
    LEFT JOIN credit_holds h ON h.reference = c.reference
    WHERE NOT -c.amount BETWEEN LEAST(total.cost, coalesce(h.amount, 0)) AND total.cost
    UNION ALL
    SELECT format('the event %s cost %s, but what it used costs %s', call_id, m.cost, {cost_sql("m", "p")})
    FROM ({_METERED}) m JOIN prices p ON p.id = m.price_id WHERE m.cost IS DISTINCT FROM {cost_sql("m", "p")}
"""
_FAULT = f"""
WITH {_SLICE}
SELECT c.reference || ': ' || faults.fault FROM slice c CROSS JOIN LATERAL ({_FAULTS_OF_A_CHARGE} LIMIT 1) faults
ORDER BY c.id LIMIT 1
"""
_SEAL = f"""
WITH {_SLICE}, days AS (
    INSERT INTO sealed_days AS d (organization_id, day, charges, charged)
    SELECT $1, {_DAY}, count(*), -sum(amount) FROM slice GROUP BY 2
    ON CONFLICT (organization_id, day) DO UPDATE
    SET charges = d.charges + excluded.charges, charged = d.charged + excluded.charged
), prices AS (
    INSERT INTO sealed_sums AS s (organization_id, day, price_id, {_SUMS})
    SELECT $1, {_DAY}, price_id, {", ".join(f"sum(sums.{name})" for name in _SUMS.split(", "))}
    FROM slice c CROSS JOIN LATERAL ({_EVENT_SUMS}) sums GROUP BY 2, 3
    ON CONFLICT (organization_id, day, price_id) DO UPDATE
    SET {", ".join(f"{name} = s.{name} + excluded.{name}" for name in _SUMS.split(", "))}
)
UPDATE seal_marks SET entry_id = $3, fault = NULL WHERE organization_id = $1
"""
_NOTE_END = f"""
UPDATE seal_marks SET sealed_before = GREATEST(sealed_before, $2::timestamptz - {_MARGIN}), fault = NULL
WHERE organization_id = $1
"""
_NOTE_FAULT = "UPDATE seal_marks SET fault = $2 WHERE organization_id = $1 AND fault IS DISTINCT FROM $2"
_FAULTS = "SELECT organization_id, fault FROM seal_marks WHERE fault IS NOT NULL ORDER BY organization_id"


@dataclass(frozen=True)
class Sealed:
    """What has become of one batch.

    Attributes:
        entries: whether entries were sealed.
        is_done: whether nothing is left that can be sealed today.
        fault: why the next entries cannot be sealed; None if they can.
    """

    entries: bool
    is_done: bool
    fault: str | None = None


async def by_keys(tx: Transaction) -> None:
    """Let the transaction's statements find all rows by keys, whatever Postgres knows of how many there are.

    A batch has few rows. One statement that read a table of a year as a whole would take minutes.
    """
    await tx.execute(_BY_KEYS)


async def find_behind(tx: Transaction) -> Sequence[str]:
    """The organizations whose ledger is not sealed as far as it can be today."""
    horizon = await tx.fetchval(_HORIZON)
    return [row["organization_id"] for row in await tx.fetch(_BEHIND, horizon)]


async def find_faults(tx: Transaction) -> dict[str, str]:
    """For each organization whose next entries cannot be sealed, why."""
    return {row["organization_id"]: row["fault"] for row in await tx.fetch(_FAULTS)}


async def seal(tx: Transaction, organization_id: str, limit: int) -> Sealed:
    """Seal the organization's next entries. Does nothing while somebody else is doing so."""
    await tx.execute(_ADD_MARK, organization_id)
    mark = await tx.fetchval(_LOCK_MARK, organization_id)
    if mark is None:
        return Sealed(entries=False, is_done=True)
    await by_keys(tx)
    horizon = await tx.fetchval(_HORIZON)
    row = await tx.fetchrow(_NEXT, organization_id, mark, limit, horizon)
    last, waits, is_end = (None, False, True) if row is None else (row["last"], row["waits"], row["is_end"])
    if last is not None:
        fault: str | None = await tx.fetchval(_FAULT, organization_id, mark, last)
        if fault is not None:
            await tx.execute(_NOTE_FAULT, organization_id, fault)
            return Sealed(entries=False, is_done=True, fault=fault)
        await tx.execute(_SEAL, organization_id, mark, last)
    if is_end and not waits:
        await tx.execute(_NOTE_END, organization_id, horizon)
    return Sealed(entries=last is not None, is_done=waits or is_end)
