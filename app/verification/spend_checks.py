"""Checks that the sums of days are those of the ledger's entries, up to where they are summed up."""

from app.credits.charge_lines import SPENT, charge_lines
from app.credits.spend_days import DIMENSIONS, SUMMED

# Agents and models are those of events. Of days whose events may be pruned the sums of both are compared.
_OWN = "organization_id, day, api_key_id, user_id"
_COMPARED = f"""
{_OWN}, CASE WHEN is_pruned THEN '' ELSE agent END AS agent, CASE WHEN is_pruned THEN '' ELSE model END AS model
"""

CHECKS = (
    f"""
    WITH spent AS (
        SELECT l.* FROM ledger_entries l
        JOIN spend_marks m ON m.organization_id = l.organization_id AND l.id <= m.entry_id
        WHERE {SPENT}
    ), {charge_lines("spent")}
    SELECT format('%s: on %s, %s credits are summed up for the key %L, the user %L, the agent %L and the model %L, but'
                  ' its entries took %s', organization_id, day, sum(summed), api_key_id, user_id, agent, model,
                  sum(entered))
    FROM (
        SELECT {_COMPARED}, summed, entered FROM (
            SELECT {DIMENSIONS}, amount AS summed, 0 AS entered FROM spend_days
            UNION ALL
            SELECT {DIMENSIONS}, 0, amount FROM ({SUMMED}) entered_days
        ) days
        LEFT JOIN seal_marks k USING (organization_id)
        CROSS JOIN LATERAL (
            SELECT coalesce(days.day < (k.pruned_before AT TIME ZONE 'UTC')::date, false) AS is_pruned
        ) gone
    ) both_sums
    GROUP BY {DIMENSIONS} HAVING sum(summed) <> sum(entered)
    """,
    """
    SELECT format('%s: summed up to entry %s, which it does not have', m.organization_id, m.entry_id)
    FROM spend_marks m LEFT JOIN ledger_entries l ON l.id = m.entry_id AND l.organization_id = m.organization_id
    WHERE m.entry_id > 0 AND l.id IS NULL
    """,
)
