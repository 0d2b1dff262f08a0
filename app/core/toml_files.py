import tomllib
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.core.errors import AppError

_Form = TypeVar("_Form", bound=BaseModel)


def read_toml(
    text: str, form: type[_Form], *, refusal: type[AppError], parse_float: Callable[[str], Any] = float
) -> _Form:
    """A TOML file, parsed and checked.

    Args:
        text: the file.
        form: what it has to look like.
        refusal: the error to raise if it does not.
        parse_float: makes a number of its digits.

    Raises:
        refusal: says what is wrong, and where.
    """
    try:
        return form.model_validate(tomllib.loads(text, parse_float=parse_float))
    except tomllib.TOMLDecodeError as error:
        raise refusal(f"Not a TOML file: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        location = ".".join(str(part) for part in first["loc"])
        raise refusal(f"{location}: {first['msg'].removeprefix('Value error, ')}") from error
