"""What metering events cost, in SQL: the same rules as in `app.catalog.pricing`, written a second time as a proof."""

from app.catalog.pricing import MOST_CREDITS
from app.credits.models import EventKind


def cost_sql(event: str, price: str) -> str:
    """What an event must have cost at its price: an expression of the names of two rows.

    A use without quantities is free. Postgres rounds halves away from zero, as ROUND_HALF_UP does.
    """
    return f"""
    CASE
    WHEN {event}.kind = '{EventKind.GENERATION}' THEN
        CASE
        WHEN {event}.outputs IS NULL AND {event}.predict_time IS NULL THEN 0
        WHEN {event}.predict_time IS NULL AND {price}.per_second > 0 THEN {price}.ceiling
        ELSE LEAST({price}.ceiling, round(
            {price}.per_call + {price}.per_second * coalesce({event}.predict_time, 0)
            + {price}.per_output * coalesce({event}.outputs, 0), 6))
        END
    WHEN {event}.prompt_tokens IS NULL AND {event}.completion_tokens IS NULL THEN 0
    -- A division would be rounded before the sum is.
    ELSE LEAST({MOST_CREDITS}, round(
        {price}.per_call + 0.000001 * ({price}.per_million_prompt_tokens * coalesce({event}.prompt_tokens, 0)
        + {price}.per_million_completion_tokens * coalesce({event}.completion_tokens, 0)), 6))
    END
    """
