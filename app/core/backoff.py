import random
from datetime import timedelta


def backoff(setbacks: int, *, first: float, longest: float) -> timedelta:
    """How long to wait after so many setbacks: doubling from `first` to `longest` seconds, half of it by chance."""
    seconds = min(longest, first * 2 ** min(setbacks, 30))
    return timedelta(seconds=seconds * random.uniform(0.5, 1))
