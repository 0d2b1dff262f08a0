"""Checks that the sealed sums are those of the ledger's entries, up to where it is sealed.

A day is sealed after each of its charges was computed from its events. So these checks prove of charges whose events
are gone that they are still what they were then.
"""

from app.credits.models import EntryKind

_QUANTITIES = ("calls", "prompt_tokens", "completion_tokens", "predict_time", "outputs", "cost")
_DAY = "(l.created_at AT TIME ZONE 'UTC')::date"
_SEALED = f"""
ledger_entries l JOIN seal_marks m ON m.organization_id = l.organization_id AND l.id <= m.entry_id
                                  AND l.kind = '{EntryKind.CHARGE}'
"""

CHECKS = (
    f"""
    SELECT format('%s: on %s, %s charges of %s credits are sealed, but its entries are %s of %s', organization_id, day,
                  sum(sealed), sum(sealed_amount), sum(entered), sum(entered_amount))
    FROM (
        SELECT organization_id, day, charges AS sealed, charged AS sealed_amount, 0 AS entered, 0 AS entered_amount
        FROM sealed_days
        UNION ALL
        SELECT l.organization_id, {_DAY}, 0, 0, count(*), -sum(l.amount) FROM {_SEALED} GROUP BY 1, 2
    ) days
    GROUP BY organization_id, day HAVING sum(sealed) <> sum(entered) OR sum(sealed_amount) <> sum(entered_amount)
    """,
    f"""
    SELECT format('%s: on %s, the quantities at price %s of its entries are not those that are sealed', organization_id,
                  day, price_id)
    FROM (
        SELECT organization_id, day, price_id, {", ".join(_QUANTITIES)} FROM sealed_sums
        UNION ALL
        SELECT l.organization_id, {_DAY}, q.price_id, {", ".join(f"-coalesce(q.{name}, 0)" for name in _QUANTITIES)}
        FROM {_SEALED} CROSS JOIN LATERAL jsonb_to_recordset(l.quantities)
            AS q (price_id int, calls bigint, prompt_tokens numeric, completion_tokens numeric, predict_time numeric,
                  outputs numeric, cost numeric)
    ) sums
    GROUP BY organization_id, day, price_id HAVING {" OR ".join(f"sum({name}) <> 0" for name in _QUANTITIES)}
    """,
    """
    SELECT format('%s: sealed up to entry %s, which it does not have', m.organization_id, m.entry_id)
    FROM seal_marks m LEFT JOIN ledger_entries l ON l.id = m.entry_id AND l.organization_id = m.organization_id
    WHERE m.entry_id > 0 AND l.id IS NULL
    """,
)
