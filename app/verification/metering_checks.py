"""Checks that every charge follows from its metering events, and every event from a price.

Each query describes each fault of one kind in a sentence. Charges of before there were events have no quantities; they
cannot be recomputed. Of charges whose events are pruned, the quantities are held against the sums that were sealed when
the events were there: see `seal_checks`.
"""

from app.credits.models import EntryKind, HoldState
from app.credits.references import LATE, SUPERSEDED
from app.verification.cost_sql import cost_sql

_QUANTITIES = ("prompt_tokens", "completion_tokens", "predict_time", "outputs", "cost")
_DIFFER = " OR ".join(f"sum({name}) <> 0" for name in _QUANTITIES)
_ENTERED = ", ".join(f"coalesce(q.{name}, 0) AS {name}" for name in _QUANTITIES)
_METERED = ", ".join(f"-coalesce(m.{name}, 0)" for name in _QUANTITIES)

_ENTERED_COST = "(SELECT sum((q ->> 'cost')::numeric) FROM jsonb_array_elements(l.quantities) q)"

# `metered`: each event with the reference of the entry that it is charged under, which is its hold's unless it came
# after the hold had ended. A late event that costs nothing, or is of a superseded hold, has no entry.
# `charges`: each charge with what was held for it and what its events cost; `cost` is null if it has none. If they are
# pruned, it is what the entry itself says that they cost. What else was held around the time of a charge may be pruned
# unless it `is_surrounded`.
CHARGES = f"""
metered AS (
    SELECT coalesce(late.reference, h.reference) AS reference, e.price_id, e.is_estimated, e.cost, e.prompt_tokens,
           e.completion_tokens, e.predict_time, e.outputs, late.id IS NOT NULL AS is_late, h.state, h.superseded_by
    FROM metering_events e
    JOIN credit_holds h ON h.reference = e.hold_reference AND h.organization_id = e.organization_id
    LEFT JOIN ledger_entries late ON late.reference = '{LATE}:' || e.call_id
    WHERE late.id IS NOT NULL OR e.recorded_at <= h.ended_at OR (e.cost > 0 AND h.superseded_by IS NULL)
), costs AS (
    SELECT reference, sum(cost) AS cost, bool_or(is_estimated) AS is_estimated FROM metered GROUP BY reference
), charges AS (
    SELECT l.id, l.organization_id, l.api_key_id, l.reference, -l.amount AS charged, l.balance_after, l.quantities,
           l.created_at, l.is_estimated,
           coalesce(h.amount, 0) AS held, coalesce(h.calls_opened, 0) AS calls_opened, h.id AS hold_id,
           CASE WHEN is_pruned THEN {_ENTERED_COST} ELSE costs.cost END AS cost, is_pruned,
           CASE WHEN is_pruned THEN l.is_estimated ELSE costs.is_estimated END AS is_metered_estimated,
           coalesce(l.created_at >= m.pruned_before + interval '1 minute', true) AS is_surrounded
    FROM ledger_entries l
    LEFT JOIN costs ON costs.reference = l.reference
    LEFT JOIN credit_holds h ON h.reference = l.reference
    LEFT JOIN seal_marks m ON m.organization_id = l.organization_id
    CROSS JOIN LATERAL (
        SELECT costs.reference IS NULL AND coalesce(l.created_at < m.pruned_before, false) AS is_pruned
    ) gone
    WHERE l.kind = '{EntryKind.CHARGE}'
)
"""

# What was held at the moment of a charge is not kept. The holds that were open around that moment may have grown since,
# but they cannot have been larger than they are. A minute more than the longest wait for a lock.
_MOST_HELD_THEN = """
    (SELECT coalesce(sum(o.amount), 0) FROM credit_holds o
     WHERE o.organization_id = c.organization_id AND o.id IS DISTINCT FROM c.hold_id
       AND o.created_at <= c.created_at + interval '1 minute'
       AND coalesce(o.ended_at, 'infinity') >= c.created_at - interval '1 minute')
"""

# What was charged for a hold, late uses included.
_CHARGED = f"""
    (SELECT -coalesce(sum(l.amount), 0) FROM ledger_entries l
     WHERE l.kind = '{EntryKind.CHARGE}' AND l.reference IN (
        SELECT h.reference UNION ALL
        SELECT '{LATE}:' || e.call_id FROM metering_events e WHERE e.hold_reference = h.reference))
"""

# Whether no more may be charged for the hold of a charge.
_IS_AT_MOST = f"""
    EXISTS (SELECT FROM credit_holds h
            WHERE h.organization_id = c.organization_id AND h.most <= {_CHARGED}
              AND h.reference IN (c.reference, (SELECT e.hold_reference FROM metering_events e
                                                WHERE c.reference = '{LATE}:' || e.call_id
                                                  AND e.call_id = substr(c.reference, {len(LATE) + 2}))))
"""

# What a key was allowed then is not kept.
_HAS_CAP = "EXISTS (SELECT FROM key_spend s WHERE s.api_key_id = c.api_key_id)"

# In one query, because the charges of a large ledger take seconds to compute.
_FAULTS_OF_A_CHARGE = f"""
    (CASE WHEN cost IS NULL AND (quantities IS NOT NULL OR calls_opened > 0) AND reference NOT LIKE '{LATE}:%'
     THEN format('%s: charged %s without an event', reference, charged) END),
    (CASE WHEN cost IS NOT NULL AND NOT charged BETWEEN LEAST(cost, held) AND cost
     THEN format('%s: charged %s, but its events cost %s and %s was held', reference, charged, cost, held) END),
    (CASE WHEN charged < cost THEN
        CASE WHEN is_surrounded AND balance_after > {_MOST_HELD_THEN} AND NOT {_IS_AT_MOST} AND NOT {_HAS_CAP}
        THEN format('%s: charged %s of %s, although more was available', reference, charged, cost) END END),
    (CASE WHEN is_estimated <> is_metered_estimated
     THEN format('%s: its entry is marked as %s, but its events are not', reference,
                 CASE WHEN is_estimated THEN 'estimated' ELSE 'reported' END) END)
"""

CHECKS = (
    f"""
    SELECT format('%s: the event %s cost %s, but what it used costs %s', hold_reference, call_id, cost, expected)
    FROM (SELECT e.*, {cost_sql("e", "p")} AS expected FROM metering_events e JOIN prices p ON p.id = e.price_id) priced
    WHERE cost IS DISTINCT FROM expected
    """,
    """
    SELECT format('%s: the event %s is of %s, but has a price of %s', e.hold_reference, e.call_id, e.model,
                  p.model_name)
    FROM metering_events e JOIN prices p ON p.id = e.price_id
    -- A version of a model may have the price of the model.
    WHERE p.model_name NOT IN (e.model, split_part(e.model, ':', 1))
    """,
    """
    SELECT format('%s: the event %s has no hold of its organization', e.hold_reference, e.call_id)
    FROM metering_events e
    LEFT JOIN credit_holds h ON h.reference = e.hold_reference AND h.organization_id = e.organization_id
    WHERE h.id IS NULL
    """,
    f"""
    SELECT format('%s: a late charge without an event', l.reference)
    FROM ledger_entries l
    LEFT JOIN metering_events e ON l.reference = '{LATE}:' || e.call_id AND l.organization_id = e.organization_id
    LEFT JOIN seal_marks m ON m.organization_id = l.organization_id
    WHERE l.reference LIKE '{LATE}:%' AND e.id IS NULL AND coalesce(l.created_at >= m.pruned_before, true)
    """,
    f"""
    WITH {CHARGES}
    SELECT fault FROM charges c CROSS JOIN LATERAL (VALUES {_FAULTS_OF_A_CHARGE}) faults (fault)
    WHERE fault IS NOT NULL
    """,
    f"""
    WITH {CHARGES}
    SELECT format('%s: the quantities of its entry are not those of its events at price %s', reference, price_id)
    FROM (
        SELECT c.reference, q.price_id, {_ENTERED}
        FROM charges c CROSS JOIN LATERAL jsonb_to_recordset(c.quantities)
            AS q (price_id int, prompt_tokens numeric, completion_tokens numeric, predict_time numeric, outputs numeric,
                  cost numeric)
        WHERE NOT c.is_pruned
        UNION ALL
        SELECT m.reference, m.price_id, {_METERED} FROM metered m
        WHERE EXISTS (SELECT FROM charges c WHERE c.reference = m.reference)
    ) quantities
    GROUP BY reference, price_id HAVING {_DIFFER}
    """,
    f"""
    WITH {CHARGES}
    SELECT format('%s: it is not charged, but its events cost %s', reference, sum(cost))
    FROM metered WHERE state = '{HoldState.VOIDED}' AND superseded_by IS NULL AND NOT is_late
    GROUP BY reference HAVING sum(cost) > 0
    """,
    f"""
    SELECT format('%s: charged %s, but its request allows %s', h.reference, {_CHARGED}, h.most)
    FROM credit_holds h WHERE h.most < {_CHARGED}
    """,
    f"""
    SELECT format('%s: superseded by %s, but charged %s', h.reference, h.superseded_by, -paid.total)
    FROM credit_holds h CROSS JOIN LATERAL (
        SELECT sum(l.amount) AS total FROM ledger_entries l WHERE l.reference IN (
            SELECT h.reference UNION ALL SELECT '{SUPERSEDED}:' || h.reference
            UNION ALL SELECT '{LATE}:' || e.call_id FROM metering_events e WHERE e.hold_reference = h.reference)
    ) paid
    WHERE h.superseded_by IS NOT NULL AND paid.total <> 0
    """,
)

# Each note describes what is right in the ledger but costs somebody credits: how many, and what they are named by.
NOTES = (
    f"""
    WITH {CHARGES}
    SELECT 'credits that were used and not charged, because no more were available or allowed',
           sum(cost - charged)::text,
           array_agg(reference ORDER BY id)
    FROM charges WHERE charged < cost
    """,
    f"""
    SELECT 'model calls that were opened and lost in crashes', sum(calls)::text,
           array_agg(reference ORDER BY id) FILTER (WHERE reference IS NOT NULL)
    FROM (
        SELECT h.calls_opened - coalesce(e.calls, 0) AS calls, h.reference, h.id
        FROM credit_holds h
        LEFT JOIN (SELECT hold_reference, count(*) AS calls FROM metering_events GROUP BY hold_reference) e
             ON e.hold_reference = h.reference
        WHERE h.state <> '{HoldState.OPEN}' AND h.calls_opened > coalesce(e.calls, 0)
        UNION ALL
        -- Of holds that are pruned, only the number is known.
        SELECT lost_calls, NULL, NULL FROM seal_marks WHERE lost_calls > 0
    ) lost
    """,
    f"""
    WITH {CHARGES}
    SELECT 'charges that are older than metering events and cannot be recomputed', count(*)::text, NULL
    FROM charges WHERE cost IS NULL AND quantities IS NULL AND calls_opened = 0 AND reference NOT LIKE '{LATE}:%'
    HAVING count(*) > 0
    """,
)
