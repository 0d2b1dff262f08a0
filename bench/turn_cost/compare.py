"""Compare two runs: `python -m bench.turn_cost.compare BEFORE.json AFTER.json`, as `make bench-turns` leaves them.

What counts is the ratio to the twin, which both runs have measured on the machine as it was then.
"""

import argparse
import sys
from pathlib import Path

import orjson

from bench.turn_cost.loads import ALL, Load
from bench.turn_cost.measure import Measured
from bench.turn_cost.subjects import ABOUT, PRODUCT, TWIN
from bench.turn_cost.tables import Results, Table


def read_results(file: Path) -> Results:
    """What a run has measured."""
    return Results(Measured(**found) for found in orjson.loads(file.read_bytes()))


def comparison(before: Results, after: Results) -> Table:
    """The product's processor time under each load of both runs: before, after, and both as multiples of the twin's."""
    rows = [
        [load.about, str(load.connections), *_pair(before, after, load), *_ratios(before, after, load)]
        for load in ALL
        if before.of(PRODUCT, load) and after.of(PRODUCT, load)
    ]
    columns = ["load", "at once", "before, ms", "after, ms", f"before, {_TIMES}", f"after, {_TIMES}"]
    return Table("comparison", columns, rows)


_TIMES = f"times {ABOUT[TWIN]}"


def _pair(before: Results, after: Results, load: Load) -> list[str]:
    return [_text(run.median(PRODUCT, load, lambda each: each.api_cpu)) for run in (before, after)]


def _ratios(before: Results, after: Results, load: Load) -> list[str]:
    return [_text(run.ratio(PRODUCT, TWIN, load)) for run in (before, after)]


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def main() -> int:
    """Print the comparison.

    Returns:
        0.
    """
    parser = argparse.ArgumentParser(prog="python -m bench.turn_cost.compare", description=__doc__)
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    runs = parser.parse_args()
    print(comparison(read_results(runs.before), read_results(runs.after)).as_markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
