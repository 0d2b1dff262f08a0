"""What the fields of an image request are to a model: `[models.images]` and `[models.edits]` of a catalog file."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from app.core.errors import InvalidRequestError

_Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
# The inputs of a model that a value of a field stands for. A text that is only a placeholder is replaced.
Inputs = dict[_Name, str | int | float | bool]
# By the value of the field; `*` stands for every other one.
Values = Annotated[dict[str, Inputs], Field(max_length=64)]

# As many as OpenAI's clients may send.
MOST_IMAGES: Final = 16
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


class EditInputs(ImageInputs):
    """`[models.edits]`: makes the model one that changes images, and says which inputs take them.

    Either `image` is the input that takes the one image, or `images` that which takes a list of at most `max_images`.
    """

    image: _Name | None = None
    images: _Name | None = None
    max_images: int = Field(default=MOST_IMAGES, ge=1, le=MOST_IMAGES)
    mask: _Name | None = None

    @model_validator(mode="after")
    def _takes_images(self) -> Self:
        if (self.image is None) == (self.images is None):
            raise ValueError(
                "edits need the name of either `image`, the input of one image, or `images`, that of a list"
            )
        return self

    def of_images(self, model: str, images: Sequence[str], mask: str | None) -> dict[str, Any]:
        """The inputs that these images, and the mask, are.

        Raises:
            InvalidRequestError: the model does not take so many, or no mask.
        """
        most = 1 if self.image else self.max_images
        if len(images) > most:
            raise InvalidRequestError(f"image: The model {model} takes {most} at most", param="image")
        if mask is not None and self.mask is None:
            raise InvalidRequestError(f"mask: The model {model} does not take one", param="mask")
        given: dict[str, Any] = {self.image: images[0]} if self.image else {str(self.images): list(images)}
        return given if mask is None else {**given, str(self.mask): mask}


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
