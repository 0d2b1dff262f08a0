"""Measure what several API processes and several workers do on this machine, and what a unit of work costs.

All of it shares the machine's cores: the processes, Postgres, Valkey, the vendors' stand-ins and the clients. What the
clients and the stand-ins take is told apart. The costs are what to plan with; throughput ends where the cores do.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.scaling.turns import Turns, measure_turns
from bench.scaling.workers import Generations, measure_workers
from bench.turn_cost.document import write_tables
from bench.turn_cost.tables import Table

_DOCUMENT = Path(__file__).parents[2] / "docs/scaling.md"
_TURN_COLUMNS = (
    "API processes", "turns/s", "p50, ms", "p99, ms", "API, ms", "Postgres, ms", "Valkey, ms",
    "clients and model server, ms", "cores busy",
)  # fmt: skip
_WORKER_COLUMNS = (
    "workers", "started/s", "finished/s", "worker, ms", "Postgres, ms", "Valkey, ms", "vendor's stand-in, ms",
    "cores busy",
)  # fmt: skip
_CEILING_COLUMNS = ("API processes", "answered", "refused with 402", "ledger")


def main() -> int:
    """Measure, print the tables, and write them into the document if asked."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--apis", type=_numbers, default="1,2,3", help="how many API processes (1,2,3)")
    parser.add_argument("--workers", type=_numbers, default="1,2", help="how many workers (1,2)")
    parser.add_argument("--connections", type=int, default=200, help="clients, all together (200)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long they ask (10)")
    parser.add_argument("--count", type=int, default=10_000, help="generations (10,000)")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {_DOCUMENT.name}")
    wanted = parser.parse_args()
    turns = [measure_turns(apis, connections=wanted.connections, seconds=wanted.seconds) for apis in wanted.apis]
    generations = [measure_workers(workers, count=wanted.count) for workers in wanted.workers]
    made = list(tables(turns, generations))
    for table in made:
        print(f"\n{table.as_markdown()}")
    if wanted.write:
        write_tables(_DOCUMENT, made)
    return 0


def tables(turns: Sequence[tuple[Turns, Turns]], generations: Sequence[Generations]) -> Iterator[Table]:
    """What was measured, as tables."""
    if turns:
        yield Table("turns", _TURN_COLUMNS, [_of_turns(plenty) for plenty, _ in turns])
        yield Table("ceiling", _CEILING_COLUMNS, [_of_ceiling(scarce) for _, scarce in turns])
    if generations:
        yield Table("generations", _WORKER_COLUMNS, [_of_generations(each) for each in generations])


def _of_turns(turns: Turns) -> list[str]:
    costs = _costs(("api", "postgres", "valkey", "clients"), turns)
    return [
        str(turns.processes), f"**{turns.rate:.0f}**", f"{turns.p50:.0f}", f"{turns.p99:.0f}", *costs,
        f"{turns.used.busy:.0%}",
    ]  # fmt: skip


def _of_ceiling(turns: Turns) -> list[str]:
    return [str(turns.processes), f"{turns.answered:,}", f"{turns.refused:,}", "exact"]


def _of_generations(found: Generations) -> list[str]:
    costs = [f"{found.used.of_each(part, found.count):.2f}" for part in ("worker", "postgres", "valkey", "vendor")]
    return [
        str(found.workers), f"{found.start_rate:.0f}", f"**{found.finish_rate:.0f}**", *costs,
        f"{found.used.busy:.0%}",
    ]  # fmt: skip


def _costs(parts: Iterable[str], turns: Turns) -> list[str]:
    return [f"{turns.used.of_each(part, turns.answered):.2f}" for part in parts]


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


if __name__ == "__main__":
    sys.exit(main())
