"""What was measured, as tables."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from bench.turn_cost.loads import CALLS, EXTRAS, GUARDS, PACED, RESPONSES, STREAMS, Load
from bench.turn_cost.measure import Measured
from bench.turn_cost.subjects import ABOUT, DIRECT, PRODUCT, PROXY, TWIN


@dataclass(frozen=True)
class Table:
    """A table: the name of its place in the document, what its columns are called, and its rows."""

    name: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def as_markdown(self) -> str:
        """The table as it stands in a document."""
        lines = [self.columns, ["---"] * len(self.columns), *self.rows]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)


class Results:
    """What was measured in all rounds."""

    def __init__(self, measured: Iterable[Measured]) -> None:
        self._measured = list(measured)

    def of(self, subject: str, load: Load) -> list[Measured]:
        """The rounds of one subject under one load."""
        return [found for found in self._measured if (found.subject, found.load) == (subject, load.name)]

    def median(self, subject: str, load: Load, value: Callable[[Measured], float]) -> float | None:
        """The median over the rounds; None if it was not measured."""
        found = [value(each) for each in self.of(subject, load)]
        return median(found) if found else None

    def ratio(self, subject: str, other: str, load: Load) -> float | None:
        """How many times as much processor time one API took as another: the median over the rounds.

        Within a round the machine was the same to both.
        """
        pairs = zip(self.of(subject, load), self.of(other, load), strict=False)
        found = [each.api_cpu / its.api_cpu for each, its in pairs if its.api_cpu]
        return median(found) if found else None

    def subjects(self, loads: Iterable[Load]) -> list[str]:
        """Those that were measured under any of these loads, in their usual order."""
        names = {load.name for load in loads}
        found = {each.subject for each in self._measured if each.load in names}
        return [subject for subject in ABOUT if subject in found]

    def loads(self, loads: Iterable[Load]) -> list[Load]:
        """Those of these loads that anything was measured under."""
        found = {each.load for each in self._measured}
        return [load for load in loads if load.name in found]


def tables(results: Results) -> list[Table]:
    """All tables that have rows."""
    made = [
        _of_turns("calls", results, CALLS, with_first_word=False),
        _of_turns("streams", results, (*STREAMS, *RESPONSES, *PACED), with_first_word=True),
        _of_turns("extras", results, EXTRAS, with_first_word=False),
        _of_the_stores(results),
        _of_guards(results),
    ]
    return [table for table in made if table.rows]


def _of_turns(name: str, results: Results, loads: Sequence[Load], *, with_first_word: bool) -> Table:
    first_word = ["first word p50"] if with_first_word else []
    columns = [
        "load", "server", "API, ms", "in rounds", "times twin", "Postgres, ms", "Valkey, ms", "requests/s",
        "added p50, ms", "added p99, ms", *first_word,
    ]  # fmt: skip
    rows = [
        _row_of_turn(results, subject, load, with_first_word=with_first_word)
        for load in results.loads(loads)
        for subject in results.subjects([load])
    ]
    return Table(name, columns, rows)


def _row_of_turn(results: Results, subject: str, load: Load, *, with_first_word: bool) -> list[str]:
    def value(of: Callable[[Measured], float], digits: int) -> str:
        found = results.median(subject, load, of)
        return "" if found is None else f"{found:.{digits}f}"

    first_word = [value(lambda each: each.first_word_p50, 1)] if with_first_word else []
    return [
        f"{load.about}, {load.connections} at once",
        ABOUT[subject],
        f"**{value(lambda each: each.api_cpu, 2)}**",
        _spread([each.api_cpu for each in results.of(subject, load)]),
        _times_the_twin(results, subject, load),
        value(lambda each: each.postgres_cpu, 2),
        value(lambda each: each.valkey_cpu, 2),
        value(lambda each: each.rate, 0),
        _added(results, subject, load, lambda each: each.p50),
        _added(results, subject, load, lambda each: each.p99),
        *first_word,
    ]


def _times_the_twin(results: Results, subject: str, load: Load) -> str:
    found = None if subject in {TWIN, DIRECT} else results.ratio(subject, TWIN, load)
    return "" if found is None else f"{found:.1f}"


def _added(results: Results, subject: str, load: Load, value: Callable[[Measured], float]) -> str:
    """How much later than the model server itself; nothing if that was not measured."""
    found, direct = results.median(subject, load, value), results.median(DIRECT, load, value)
    return "" if found is None or direct is None or subject == DIRECT else f"{found - direct:.1f}"


def _spread(values: Sequence[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"


def _of_the_stores(results: Results) -> Table:
    columns = ["server", "turn", "statements", "transactions", "WAL, bytes", "memory at 200 at once, MB"]
    many = CALLS[-1]
    rows = [
        [
            ABOUT[subject],
            load.about,
            *(f"{results.median(subject, load, of):.{digits}f}" for of, digits in _COUNTED),
            _memory(results, subject, many) if load is CALLS[1] else "",
        ]
        for load in results.loads([CALLS[1], STREAMS[1], *RESPONSES, *EXTRAS])
        for subject in results.subjects([load])
        if subject not in {PROXY, DIRECT}
    ]
    return Table("stores", columns, rows)


_COUNTED: Sequence[tuple[Callable[[Measured], float], int]] = (
    (lambda each: each.statements, 1),
    (lambda each: each.transactions, 1),
    (lambda each: each.wal, 0),
)


def _memory(results: Results, subject: str, load: Load) -> str:
    found = results.median(subject, load, lambda each: each.memory)
    return "" if found is None else f"{found:.0f}"


def _of_guards(results: Results) -> Table:
    columns = ["request to the product, 10 at once", "API, ms", "in rounds", "requests/s"]
    measured = results.loads(GUARDS)
    rows = [
        [
            load.about,
            f"**{results.median(PRODUCT, load, lambda each: each.api_cpu):.2f}**",
            _spread([each.api_cpu for each in results.of(PRODUCT, load)]),
            f"{results.median(PRODUCT, load, lambda each: each.rate):.0f}",
        ]
        for load in measured
    ]
    return Table("guards", columns, rows)
