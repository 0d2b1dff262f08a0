"""The options that several commands share, and how their values are parsed."""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, TextIO

import typer

from app.cli.reporting import CommandFailedError

_DURATION = re.compile(r"(?P<count>\d{1,5})(?P<unit>[hdw])")
_UNITS = {"h": "hours", "d": "days", "w": "weeks"}
_CREDITS = re.compile(r"-?\d{1,11}(\.\d{1,6})?")

Org = Annotated[str, typer.Option("--org", metavar="ORG", help="The organization's id or name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def parse_amount(text: str) -> Decimal:
    """Parse an amount of credits that is not negative, exactly; see `parse_credits`."""
    amount = parse_credits(text)
    if amount < 0:
        raise typer.BadParameter(f"{text!r} is negative.")
    return amount


def parse_duration(text: str) -> timedelta:
    """Parse a length of time such as `12h`, `90d` or `4w`.

    Raises:
        BadParameter: it is not one.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a length of time such as 12h, 90d or 4w.")
    return timedelta(**{_UNITS[match["unit"]]: int(match["count"])})


def parse_credits(text: str) -> Decimal:
    """Parse an amount of credits exactly.

    Raises:
        BadParameter: it is not a decimal number, or has more than 6 decimals.
    """
    if not _CREDITS.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is not an amount such as 12.5, with at most 6 decimals.")
    return Decimal(text)


def read_text(file: TextIO) -> str:
    """The whole text of a file that the operator named.

    Raises:
        CommandFailedError: it is not UTF-8.
    """
    try:
        return file.read()
    except UnicodeDecodeError as error:
        raise CommandFailedError(f"{file.name} is not UTF-8 text") from error
