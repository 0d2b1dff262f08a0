"""What the values of a request's fields are to a model, as a catalog file says it."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from app.core.errors import InvalidRequestError

Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# The inputs of a model that a value of a field stands for. A text that is only a placeholder is replaced.
Inputs = dict[Name, str | int | float | bool]
# By the value of the field; `*` stands for every other one.
Values = Annotated[dict[str, Inputs], Field(max_length=64)]


_ANY = "*"
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def inputs_of(model: str, name: str, value: str | float, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The inputs that a value of the field `name` stands for.

    Raises:
        InvalidRequestError: the model does not know the value, or the field.
    """
    text = str(value)
    template = known.get(text, known.get(_ANY))
    if template is None:
        takes = f"takes {', '.join(known)}" if known else "does not take it"
        raise InvalidRequestError(f"{name}: {text[:64]} is not known. The model {model} {takes}", param=name)
    given: dict[str, Any] = {"{value}": value}
    if size := _SIZE.fullmatch(text):
        given |= {"{width}": int(size[1]), "{height}": int(size[2])}
    filled = {key: given.get(each, each) if isinstance(each, str) else each for key, each in template.items()}
    if {"{width}", "{height}"} & {each for each in filled.values() if isinstance(each, str)}:
        raise InvalidRequestError(f"{name}: must be a width and a height in pixels, such as 1024x768", param=name)
    return filled
