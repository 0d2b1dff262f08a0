"""The most credits that a client lets one request cost: `max_credits` in its body, or the header `X-Max-Credits`."""

import math
import re
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from app.catalog.pricing import MOST_CREDITS

HEADER: Final = "X-Max-Credits"

PATTERN: Final = r"^(?=.*[1-9])[0-9]{1,12}(\.[0-9]{1,6})?$"
_AMOUNT: Final = re.compile(PATTERN, re.ASCII)
# Floats below it are exact with six decimals.
_MOST_OF_A_FLOAT: Final = 10**9
_WRONG: Final = "must be a number of credits that is more than 0 and has at most 6 decimals"
DESCRIPTION: Final = "The most credits that the request may cost, with at most 6 decimals; its generations included"
_SCHEMA: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": _MOST_OF_A_FLOAT, "multipleOf": 0.000001},
        {"type": "string", "pattern": PATTERN},
    ],
    "description": DESCRIPTION,
    "examples": [0.25, "0.25"],
}


def read_max_credits(given: Any) -> Decimal:
    """The amount that a client has given as a number or as a text, exactly.

    Raises:
        ValueError: it is none, is not more than 0, is too large, or has more than 6 decimals.
    """
    if isinstance(given, bool) or not isinstance(given, int | float | str | Decimal):
        raise ValueError(_WRONG)
    text = _as_text(given) if isinstance(given, float) else f"{given:f}" if isinstance(given, Decimal) else str(given)
    if not _AMOUNT.fullmatch(text) or not 0 < (amount := Decimal(text)) <= MOST_CREDITS:
        raise ValueError(_WRONG)
    return amount


def _as_text(given: float) -> str:
    """The amount that a float stands for: of 0.1 + 0.2, for example, 0.3."""
    if not 0 < given < _MOST_OF_A_FLOAT:
        raise ValueError(f"{_WRONG}; from {_MOST_OF_A_FLOAT:,} on it is written as a text")
    text = f"{given:.6f}"
    if abs(float(text) - given) > 4 * math.ulp(given):
        raise ValueError(_WRONG)
    return text


MaxCredits = Annotated[Decimal, BeforeValidator(read_max_credits), WithJsonSchema(_SCHEMA)]


def lesser(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """The lesser of two limits, of which each may be none."""
    return min((each for each in (one, other) if each is not None), default=None)
