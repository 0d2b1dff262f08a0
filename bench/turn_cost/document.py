"""The tables of a document that a program writes. What stands between them is written by hand."""

import re
from collections.abc import Iterable
from pathlib import Path

from bench.turn_cost.tables import Table

DOCUMENT = Path(__file__).parents[2] / "docs/performance.md"


def write_tables(document: Path, tables: Iterable[Table]) -> None:
    """Put each table between its two markers, `<!-- measured: NAME -->` and `<!-- end -->`.

    Raises:
        LookupError: the document has no place for a table.
    """
    text = document.read_text(encoding="utf-8")
    for table in tables:
        begin, end = f"<!-- measured: {table.name} -->", "<!-- end -->"
        place = re.compile(f"{re.escape(begin)}\n.*?{re.escape(end)}", re.DOTALL)
        if not place.search(text):
            raise LookupError(f"{document} has no place for the table {table.name}")
        new = f"{begin}\n\n{table.as_markdown()}\n\n{end}"
        text = place.sub(new.replace("\\", r"\\"), text)
    document.write_text(text, encoding="utf-8")
