"""What the charges of the ledger were for, in SQL: each charge as one line for each metering event it was made from."""

from app.credits.models import EntryKind
from app.credits.references import LATE, SUPERSEDED

# The entries that are spending: charges, and what was given back of charges because another run took their place.
SPENT = f"(kind = '{EntryKind.CHARGE}' OR starts_with(reference, '{SUPERSEDED}:'))"

_EVENT = """
    c.id AS entry_id, e.id AS event_id, e.call_id, e.kind, e.agent, e.model, e.price_id, e.is_estimated, e.cost,
    e.prompt_tokens, e.completion_tokens, e.predict_time, e.outputs, e.began_at, e.ended_at
"""


def charge_lines(charges: str) -> str:
    """The common table expressions up to `lines`, which has a row for each event of each charge.

    The amounts of an entry's lines add up to what it took, to the last decimal. If less was charged than the events
    cost, because no more was available, the first events are paid in full and the last ones are not. A charge of before
    there were events is one line with its own agent and model, and so is what was given back, which is negative.

    No line changes once its charge is entered: what is recorded for the same hold later has an entry of its own, or
    costs nothing.

    Args:
        charges: a common table expression with whole rows of `ledger_entries`, all of them `SPENT`.
    """
    return f"""
    metered AS (
        SELECT {_EVENT}
        FROM {charges} c JOIN metering_events e ON e.hold_reference = c.reference
                                               AND e.organization_id = c.organization_id
        LEFT JOIN ledger_entries late ON late.reference = '{LATE}:' || e.call_id
        WHERE late.id IS NULL AND (e.recorded_at <= c.created_at OR e.cost > 0)
        UNION ALL
        SELECT {_EVENT}
        FROM {charges} c JOIN metering_events e ON e.call_id = substr(c.reference, {len(LATE) + 2})
                                               AND e.organization_id = c.organization_id
        WHERE starts_with(c.reference, '{LATE}:')
    ), ordered AS (
        SELECT metered.*, row_number() OVER by_entry AS number, count(*) OVER (PARTITION BY entry_id) AS events,
               coalesce(sum(cost) OVER (PARTITION BY entry_id ORDER BY event_id
                                        ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS cost_before
        FROM metered WINDOW by_entry AS (PARTITION BY entry_id ORDER BY event_id)
    ), lines AS (
        SELECT c.id AS entry_id, c.organization_id, c.created_at, c.api_key_id, c.user_id,
               coalesce(o.agent, c.agent) AS agent, coalesce(o.model, c.model) AS model,
               coalesce(o.number, 1) AS number, o.event_id, o.call_id, o.kind, o.price_id, o.is_estimated, o.cost,
               o.prompt_tokens, o.completion_tokens, o.predict_time, o.outputs, o.began_at, o.ended_at,
               CASE WHEN o.event_id IS NULL THEN -c.amount
                    WHEN o.number = o.events THEN GREATEST(0, -c.amount - o.cost_before)
                    ELSE GREATEST(0, LEAST(o.cost, -c.amount - o.cost_before)) END AS amount
        FROM {charges} c LEFT JOIN ordered o ON o.entry_id = c.id
    )
    """
