from collections import OrderedDict


class OccurrenceCounter:
    """Counts how often each key was seen, for the most recent keys."""

    def __init__(self, max_keys: int = 100_000) -> None:
        self._max_keys = max_keys
        self._seen: OrderedDict[str, int] = OrderedDict()

    def next(self, key: str) -> int:
        """Count the key once more; returns how often it was seen so far."""
        occurrence = self._seen.pop(key, 0) + 1
        self._seen[key] = occurrence
        if len(self._seen) > self._max_keys:
            self._seen.popitem(last=False)
        return occurrence

    def clear(self) -> None:
        """Forget all counts."""
        self._seen.clear()
