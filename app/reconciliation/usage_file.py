"""An upstream's usage as CSV: the form of the file that is reconciled."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from app.core.errors import InvalidRequestError
from app.reconciliation.usage_differences import Usage, UsageKey

_LARGEST = 10**18


@dataclass(frozen=True, kw_only=True)
class UsageColumns:
    """The names of the columns. `requests` is None if the file does not have it."""

    day: str
    model: str
    prompt_tokens: str
    completion_tokens: str
    requests: str | None


def read_usage(lines: Iterable[str], columns: UsageColumns) -> dict[UsageKey, Usage]:
    """The usage of each day and model, added up over the rows of a CSV with a line of headers.

    A day is `2026-11-28`, a time in ISO 8601 (UTC unless it says otherwise) or in seconds since 1970.

    Raises:
        InvalidRequestError: a column is missing, or a value cannot be read. The text names the line.
    """
    rows = csv.DictReader(lines)
    try:
        wanted = [name for name in vars(columns).values() if name is not None]
        missing = [name for name in wanted if name not in (rows.fieldnames or ())]
        if missing:
            raise InvalidRequestError(f"The file has no column {', '.join(missing)}")
        usage: dict[UsageKey, Usage] = {}
        for row in rows:
            key, used = _read_row(row, columns, rows.line_num)
            usage[key] = usage[key] + used if key in usage else used
    except csv.Error as error:
        raise InvalidRequestError(f"Line {rows.line_num + 1}: {error}") from error
    return usage


def _read_row(row: Mapping[str, str | None], columns: UsageColumns, line: int) -> tuple[UsageKey, Usage]:
    model = (row[columns.model] or "").strip()
    if not model:
        raise InvalidRequestError(f"Line {line}: {columns.model} is empty")
    prompt_tokens = _count(row, columns.prompt_tokens, line)
    completion_tokens = _count(row, columns.completion_tokens, line)
    requests = None if columns.requests is None else _count(row, columns.requests, line)
    return UsageKey(_day(row, columns.day, line), model), Usage(prompt_tokens, completion_tokens, requests)


def _count(row: Mapping[str, str | None], column: str, line: int) -> int:
    text = (row[column] or "").strip()
    # What is not ASCII may be a digit of another script.
    if not (text.isascii() and text.isdecimal()) or len(text) > len(str(_LARGEST)):
        raise InvalidRequestError(f"Line {line}: {column} is not a whole number: {text!r}")
    return int(text)


def _day(row: Mapping[str, str | None], column: str, line: int) -> date:
    text = (row[column] or "").strip()
    try:
        moment = datetime.fromtimestamp(float(text), UTC) if text.isdecimal() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise InvalidRequestError(f"Line {line}: {column} is neither a day nor a time: {text!r}") from error
    return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
