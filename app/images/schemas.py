from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.json_schema import SkipJsonSchema

from app.catalog.image_inputs import MOST_IMAGES
from app.credits.max_credits import MaxCredits
from app.generations.media_types import ContentType
from app.generations.states import Status

_Word = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class _Request(BaseModel):
    """What OpenAI's requests for images share. The catalog's entry says which values `size` and the like may have."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=32_000)]
    model: Annotated[str, StringConstraints(min_length=1, max_length=256)] | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=10)] | None = None
    size: _Word | None = None
    quality: _Word | None = None
    background: _Word | None = None
    output_format: _Word | None = None
    response_format: Literal["url", "b64_json"] | None = None
    stream: bool | None = None
    # There are none: an image is stored, and then sent, when it is finished.
    partial_images: Annotated[int, Field(ge=0, le=3)] | None = None
    user: Annotated[str, StringConstraints(max_length=256)] | None = None
    max_credits: MaxCredits | None = None

    @property
    def fields(self) -> dict[str, str | None]:
        """The fields that are inputs of the model under names of its own."""
        return self.model_dump(include={"size", "quality", "background", "output_format"})


class ImagesRequest(_Request):
    """OpenAI's request for images."""


class ImageReference(BaseModel):
    """An image: a data URL of a PNG, JPEG or WebP, or an HTTP URL that the model's vendor can read."""

    model_config = ConfigDict(extra="forbid")

    # Bytes are those of a form.
    image_url: str | SkipJsonSchema[bytes]


class EditsRequest(_Request):
    """OpenAI's request for changed images. A form has files, `image` or `image[]` and `mask`, instead of references."""

    images: Annotated[list[ImageReference], Field(min_length=1, max_length=MOST_IMAGES)]
    mask: ImageReference | None = None


class ImageRead(BaseModel):
    """One image: its permanent URL, and its bytes unless only the URL was asked for."""

    url: str
    b64_json: str = Field(default="", description="Left out with `response_format: url`")


class ImageContent(BaseModel):
    """A content that the request has made, or failed to make."""

    id: str
    status: Status
    content_type: ContentType | None
    storage_url: str | None
    error_message: str | None


class ImagesRead(BaseModel):
    """The images that could be made; `generated_content` has the others, too, with what was wrong."""

    created: int = Field(description="Seconds since 1970")
    data: list[ImageRead] = Field(min_length=1)
    generated_content: list[ImageContent]


def shown(content_id: str, **fields: Any) -> dict[str, Any]:
    """A content as `ImageContent` has it."""
    return ImageContent(id=content_id, **fields).model_dump(mode="json")


def schema_of_events(event: str) -> dict[str, Any]:
    """An event of a stream as OpenAPI 3.2 describes one: an image, or what was wrong with all."""
    image = {
        "type": "object",
        "required": ["type", "created_at", "url"],
        "properties": {
            "type": {"const": event},
            "created_at": {"type": "integer", "description": "Seconds since 1970"},
            "url": {"type": "string"},
            "b64_json": {"type": "string", "description": "Left out if only the URL was asked for"},
        },
    }
    error = {
        "type": "object",
        "required": ["type", "error"],
        "properties": {
            "type": {"const": "error"},
            "error": {"type": "object", "required": ["message", "type", "code"]},
        },
    }
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": {"anyOf": [image, error]}}
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {"event": {"enum": [event, "error"]}, "data": data},
    }
