from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from app.credits.max_credits import MaxCredits
from app.embeddings.inputs import MOST_INPUTS
from app.embeddings.vectors import EncodingFormat

_TEXT = {"type": "string", "minLength": 1}
_TOKENS = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1}
_INPUT = {
    "anyOf": [
        _TEXT,
        _TOKENS,
        {"type": "array", "items": _TEXT, "minItems": 1, "maxItems": MOST_INPUTS},
        {"type": "array", "items": _TOKENS, "minItems": 1, "maxItems": MOST_INPUTS},
    ]
}
_Word = Annotated[str, StringConstraints(max_length=256)]


class EmbeddingsRequest(BaseModel):
    """OpenAI's request for embeddings. Further parameters of models' servers are passed on; others are refused."""

    model_config = ConfigDict(extra="forbid")

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    # Checked in steps by `Inputs`: it may have tens of thousands of values.
    input: Annotated[Any, WithJsonSchema(_INPUT)]
    encoding_format: EncodingFormat | None = None
    dimensions: int | None = Field(default=None, ge=1, le=100_000)
    user: _Word | None = None
    # Of NVIDIA, Cohere and Jina, of vLLM and of Text Embeddings Inference.
    input_type: _Word | None = None
    task: _Word | None = None
    prompt_name: _Word | None = None
    truncate: bool | _Word | None = None
    truncate_prompt_tokens: int | None = Field(default=None, ge=-1)
    normalize: bool | None = None
    max_credits: MaxCredits | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """What is passed on beside the model, the inputs and the form of the vectors."""
        return self.model_dump(exclude={"model", "input", "encoding_format", "max_credits"}, exclude_none=True)


class EmbeddingRead(BaseModel):
    """The vector of one input: numbers, or with `encoding_format: "base64"` 32-bit floats, little-endian."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingsUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingsRead(BaseModel):
    """The vectors in the order of the inputs."""

    object: Literal["list"]
    data: list[EmbeddingRead]
    model: str
    usage: EmbeddingsUsage
