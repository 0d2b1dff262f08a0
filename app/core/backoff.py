import random
from datetime import timedelta


def backoff(setbacks: int, *, first: float, longest: float) -> timedelta:
    """How long to wait after a number of setbacks: from `first` seconds it doubles to `longest`, and half is random."""
    seconds = min(longest, first * 2 ** min(setbacks, 30))
    return timedelta(seconds=seconds * random.uniform(0.5, 1))
