import random
from datetime import timedelta


def backoff(failures: int, *, first: float, longest: float) -> timedelta:
    """How long to wait after a number of failures: from `first` seconds it doubles to `longest`, and half is random."""
    seconds = min(longest, first * 2 ** min(failures, 30))
    return timedelta(seconds=seconds * random.uniform(0.5, 1))
