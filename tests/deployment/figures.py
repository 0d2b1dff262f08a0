"""The figures of a run: how long each step took, and how large things are."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Figures:
    """Collects figures in the order in which they come."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, str]] = []

    def add(self, what: str, value: str) -> None:
        """Add a figure with its unit."""
        self._rows.append((what, value))

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds that the block takes."""
        began = time.monotonic()
        yield
        self.add(what, f"{time.monotonic() - began:.1f} s")

    def table(self) -> list[str]:
        """One line a figure, with the values in a column."""
        width = max((len(what) for what, _ in self._rows), default=0)
        return [f"{what:<{width}}  {value:>12}" for what, value in self._rows]


def megabytes(size: float) -> str:
    """Bytes as a figure."""
    return f"{size / 1e6:.0f} MB"
