"""Refusals that name the part of a request that they mean."""

from typing import NoReturn

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Place = tuple[int | str, ...]


def refuse(place: Place, reason: str) -> NoReturn:
    """Refuse a part of the value that is being validated. `place` is its location below that value.

    Raises:
        ValidationError: always.
    """
    # The reason may hold braces, which are placeholders in a template.
    error = PydanticCustomError("refused", "{reason}", {"reason": reason})
    raise ValidationError.from_exception_data("request", [InitErrorDetails(type=error, loc=place, input=None)])
