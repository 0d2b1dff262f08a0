"""Measure what a turn costs, and what it costs servers that do as little as possible.

Each server is a process on a core of its own; what makes the load, and what the servers use, run on the others. `TWIN`
names one more program to measure, which takes a port as its argument, and finds Postgres in `PGURL`, a Valkey without
password on port 56379 and the model server on port 9100.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from bench.processor import cores_for
from bench.turn_cost.document import DOCUMENT, write_tables
from bench.turn_cost.loads import ALL, Load
from bench.turn_cost.measure import Measured, measure
from bench.turn_cost.organization import prepare
from bench.turn_cost.stores import running_stores
from bench.turn_cost.subjects import ABOUT, GIVEN, running_subjects
from bench.turn_cost.tables import Results, tables

_LOADS = {load.name: load for load in ALL}
_JSON = Path(".bench/turns.json")


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    subjects: list[str]
    loads: list[Load]
    given: Path | None
    rounds: int
    seconds: float
    json: Path
    is_written: bool


def main() -> int:
    """Measure, print the tables, and write them down.

    Returns:
        1 if a response was not as it should be, or the model was called too often or too rarely.
    """
    wanted = _read_command_line()
    measured = []
    try:
        for found in _measure(wanted):
            measured.append(found)
            print(f"{found.subject} {found.load}: {found.api_cpu:.2f} ms, {found.rate:.0f}/s", file=sys.stderr)
    finally:
        _report(wanted, measured)
    return int(not all(found.is_good(_LOADS[found.load]) for found in measured))


def _measure(wanted: Wanted) -> Iterable[Measured]:
    core, others = cores_for()
    if core == others:
        print("There is only one core: what is measured shares it with what makes the load.", file=sys.stderr)
    os.sched_setaffinity(0, others)  # of what is started from here, too
    with tempfile.TemporaryDirectory() as folder, running_stores(Path(folder), with_given=bool(wanted.given)) as stores:
        keys = asyncio.run(prepare(stores.plant.settings))
        with running_subjects(stores, wanted.subjects, keys, core=core, given=wanted.given) as subjects:
            yield from measure(stores, subjects, wanted.loads, rounds=wanted.rounds, seconds=wanted.seconds)


def _report(wanted: Wanted, measured: list[Measured]) -> None:
    made = tables(Results(measured))
    for table in made:
        print(f"\n{table.as_markdown()}")
    wanted.json.parent.mkdir(parents=True, exist_ok=True)
    wanted.json.write_bytes(orjson.dumps([asdict(found) for found in measured], option=orjson.OPT_INDENT_2))
    if wanted.is_written:
        write_tables(DOCUMENT, made)


def _read_command_line() -> Wanted:
    parser = argparse.ArgumentParser(
        prog="python -m bench.turn_cost", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is measured (3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each load is made (2)")
    parser.add_argument(
        "--only", default="", metavar="NAME,…", help=f"servers ({', '.join(ABOUT)}) or loads ({', '.join(_LOADS)})"
    )
    parser.add_argument("--json", type=Path, default=_JSON, help=f"where all figures go ({_JSON})")
    parser.add_argument("--write", action="store_true", help=f"put the tables into {DOCUMENT.name}")
    arguments = parser.parse_args()
    only = set(filter(None, arguments.only.split(",")))
    if unknown := only - ABOUT.keys() - _LOADS.keys():
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    given = Path(os.environ["TWIN"]).resolve() if os.environ.get("TWIN") else None
    present = [name for name in ABOUT if name != GIVEN or given is not None]
    return Wanted(
        subjects=[name for name in present if name in only or not only & ABOUT.keys()],
        loads=[load for name, load in _LOADS.items() if name in only or not only & _LOADS.keys()],
        given=given,
        rounds=arguments.rounds,
        seconds=arguments.seconds,
        json=arguments.json,
        is_written=arguments.write,
    )


if __name__ == "__main__":
    sys.exit(main())
