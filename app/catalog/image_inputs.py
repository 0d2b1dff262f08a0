"""What the fields of an image request are to a model: `[models.images]` and `[models.edits]` of a catalog file."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.catalog.field_inputs import Name, Values, inputs_of
from app.core.errors import InvalidRequestError

# As many as OpenAI's clients may send.
MOST_IMAGES: Final = 16
# Means that the model decides, as if the field were left out.
_AUTO = "auto"


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
                inputs |= inputs_of(model, name, value, getattr(self, name))
        return inputs


class EditInputs(ImageInputs):
    """`[models.edits]`: makes the model one that changes images, and says which inputs take them.

    Either `image` is the input that takes the one image, or `images` that which takes a list of at most `max_images`.
    """

    image: Name | None = None
    images: Name | None = None
    max_images: int = Field(default=MOST_IMAGES, ge=1, le=MOST_IMAGES)
    mask: Name | None = None

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
