"""Strikes, made from the main thread: a program that another thread starts dies with that thread."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic, sleep

from chaos.field import Field
from chaos.strikes import Kind, Strike

_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Struck:
    """A strike as it was carried out, from `at` to `until` in seconds after the beginning."""

    at: float
    kind: Kind
    until: float


def deal(field: Field, strikes: Sequence[Strike], *, began: float, is_over: Callable[[], bool]) -> list[Struck]:
    """Carry out each strike at its time and take it back at its end; returns what was done, in order.

    What takes longer than planned delays all that follows. Once everything is done, programs are kept running until
    the run is over.

    Args:
        field: What is struck.
        strikes: What is done.
        began: The moment by the monotonic clock from which times are counted.
        is_over: Called while waiting; once it returns true, nothing new is done.
    """
    undo: dict[Strike, tuple[float, Callable[[], None]]] = {}
    struck: list[Struck] = []
    delay = 0.0
    try:
        for at, strike in _steps(strikes):
            _wait_until(field, began + at + delay, is_over)
            delay = max(delay, monotonic() - began - at)
            now = monotonic() - began
            if strike in undo:
                since, take_back = undo[strike]
                take_back()
                struck.append(Struck(since, strike.kind, now))
            elif not is_over():
                undo[strike] = now, field.strike(strike.kind)
        _wait_until(field, float("inf"), is_over)
    finally:
        field.heal()
    return sorted(struck, key=lambda done: done.at)


def _steps(strikes: Sequence[Strike]) -> Iterator[tuple[float, Strike]]:
    """The beginning and the end of each strike, in the order of their times."""
    yield from sorted(
        [step for strike in strikes for step in ((strike.at, strike), (strike.at + strike.down, strike))],
        key=lambda step: step[0],
    )


def _wait_until(field: Field, moment: float, is_over: Callable[[], bool]) -> None:
    while monotonic() < moment and not is_over():
        field.revive()
        sleep(_LOOK_SECONDS)
