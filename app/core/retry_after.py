"""What a `Retry-After` header asks for."""

import math
from datetime import datetime
from email.utils import parsedate_to_datetime


def asked_seconds(retry_after: str, now: datetime) -> float:
    """How many seconds the header asks to wait: negative if its time is in the past, not a finite number if unusable.

    Args:
        retry_after: seconds or an HTTP date.
        now: the current moment, aware.
    """
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        # A date without a time zone is in UTC, and is parsed as a naive one.
        moment = parsedate_to_datetime(retry_after)
        return (moment.replace(tzinfo=moment.tzinfo or now.tzinfo) - now).total_seconds()
    except (ValueError, OverflowError):
        return math.nan
