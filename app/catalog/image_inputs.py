"""What the fields of an image request are to a model: `[models.images]` of a catalog file."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from app.core.errors import InvalidRequestError

# The inputs of a model that a value of a field stands for. A text that is only a placeholder is replaced.
Inputs = dict[Annotated[str, StringConstraints(min_length=1, max_length=64)], str | int | float | bool]
# By the value of the field; `*` stands for every other one.
Values = Annotated[dict[str, Inputs], Field(max_length=64)]

_ANY = "*"
# Means that the model decides, as if the field were left out.
_AUTO = "auto"
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


class ImageInputs(BaseModel):
    """`[models.images]`: makes the model one of the Images API, and says which inputs the request's fields stand for.

    A field without values is refused. `default` marks the model of requests that name none.
    """

    model_config = ConfigDict(extra="forbid")

    default: bool = False
    size: Values = {}
    quality: Values = {}
    background: Values = {}
    output_format: Values = {}

    def of_fields(self, model: str, fields: Mapping[str, str | None]) -> dict[str, Any]:
        """The inputs that these fields stand for.

        Raises:
            InvalidRequestError: the model does not know the value of one of them.
        """
        inputs: dict[str, Any] = {}
        for name, value in fields.items():
            if value is not None and value != _AUTO:
                inputs |= _inputs_of(model, name, value, getattr(self, name))
        return inputs


def _inputs_of(model: str, name: str, value: str, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    template = known.get(value) or known.get(_ANY)
    if template is None:
        takes = f"takes {', '.join(known)}" if known else "does not take it"
        raise InvalidRequestError(f"{name}: {value[:64]} is not known. The model {model} {takes}", param=name)
    given: dict[str, Any] = {"{value}": value}
    if size := _SIZE.fullmatch(value):
        given |= {"{width}": int(size[1]), "{height}": int(size[2])}
    filled = {key: given.get(each, each) if isinstance(each, str) else each for key, each in template.items()}
    if {"{width}", "{height}"} & {each for each in filled.values() if isinstance(each, str)}:
        raise InvalidRequestError(f"{name}: must be a width and a height in pixels, such as 1024x768", param=name)
    return filled
