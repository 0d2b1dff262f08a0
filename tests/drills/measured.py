"""What drills have measured: a line for each on standard output, and a row of a document's table if `WRITE` is set."""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_DOCS: Final = Path(__file__).parents[2] / "docs"


def note(document: str, table: str, *cells: str) -> None:
    """Print the cells of a row, and with `WRITE=1` put it into the table instead of the one with the same first cell.

    The table stands between `<!-- measured: TABLE -->` and `<!-- end -->`.

    Raises:
        LookupError: the document has no such table.
    """
    sys.stdout.write(f"\n{table}: {' | '.join(cells)}\n")
    if os.environ.get("WRITE") == "1":
        path = _DOCS / document
        path.write_text(with_row(path.read_text(encoding="utf-8"), table, cells), encoding="utf-8")


def with_row(text: str, table: str, cells: Sequence[str]) -> str:
    """The text of a document with this row in one of its tables.

    Raises:
        LookupError: there is no such table.
    """
    place = re.search(rf"<!-- measured: {re.escape(table)} -->\n\n(.*?)\n\n<!-- end -->", text, re.DOTALL)
    if place is None:
        raise LookupError(f"no table {table}")
    rows = place[1].split("\n")
    row = f"| {' | '.join(cells)} |"
    same = [number for number, old in enumerate(rows) if old.startswith(f"| {cells[0]} |")]
    if same:
        rows[same[0]] = row
    else:
        rows.append(row)
    return text[: place.start(1)] + "\n".join(rows) + text[place.end(1) :]


def seconds(value: float | None) -> str:
    """Seconds as they stand in a table."""
    return "never" if value is None else f"{value:.1f} s"


def told(refusals: dict[str, int]) -> str:
    """What clients were told, and how often, as it stands in a table."""
    return ", ".join(f"{count} times {shown}" for shown, count in refusals.items()) or "nothing"
