"""What keys may spend in a month: the trigger's refusal, as an error of the API."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from app.core.postgres_errors import sqlstate
from app.credits.errors import KeyCapReachedError

_REACHED: Final = "JK402"

# SQL: what a row `s` of `key_spend` has spent in this month.
SPENT_THIS_MONTH: Final = """
(CASE WHEN s.month < date_trunc('month', now() AT TIME ZONE 'UTC')::date THEN 0 ELSE s.spent END)
"""


def key_left(api_key_id: str) -> str:
    """SQL: what a key may still spend besides what it holds; null if it has no limit. Of an expression for its id."""
    return f"""
    (SELECT GREATEST(k.monthly_credits - s.held - {SPENT_THIS_MONTH}, 0)
     FROM key_spend s JOIN api_keys k ON k.id = s.api_key_id WHERE s.api_key_id = {api_key_id})
    """


@contextmanager
def heeding_caps() -> Iterator[None]:
    """For statements that hold something.

    Raises:
        KeyCapReachedError: it would be more than the key may spend. The transaction cannot go on.
    """
    try:
        yield
    except Exception as error:
        if sqlstate(error) != _REACHED:
            raise
        most, left, ends = str(getattr(error, "detail", "")).split()
        raise KeyCapReachedError(
            f"This API key may spend {most} credits a month, of which {left} are left until {ends}T00:00:00Z,"
            " too few for this request"
        ) from error
