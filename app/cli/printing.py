"""How results are printed: standard output has only results, and everything else goes to standard error."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import orjson
import typer

from app.core.clock import whole_seconds

_GAP = "  "


def tell(text: str) -> None:
    """Print something for people on standard error."""
    typer.echo(text, err=True)


def print_rows(columns: Sequence[str], rows: Sequence[Mapping[str, object]], *, as_json: bool) -> None:
    """Print rows that have all the columns: as one JSON array, or one row a line under aligned headers."""
    if as_json:
        print_json(rows)
        return
    headers = [column.replace("_", " ").upper() for column in columns]
    lines = [headers, *([_cell(row[column]) for column in columns] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        typer.echo(_GAP.join(padded).rstrip())


def print_json(value: object) -> None:
    """Print one line of JSON, with times in UTC and credits as numbers."""
    options = orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_UTC_Z
    typer.echo(orjson.dumps(value, default=_json_number, option=options).decode())


def credits_text(amount: Decimal) -> str:
    """The amount without trailing zeros: `12.5`."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def one_line(text: str) -> str:
    """Text from outside, made safe to print: it can neither break the line nor control the terminal."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return whole_seconds(value)
    if isinstance(value, Decimal):
        return credits_text(value)
    return one_line(" ".join(value) if isinstance(value, list) else str(value))


def _json_number(value: object) -> float:
    if isinstance(value, Decimal):
        return float(value)
    raise TypeError
