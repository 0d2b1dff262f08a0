"""The parameters of a request that are passed on to the model unchanged.

What a value means is for the model's server to judge, unless a wrong one would be ignored there or costs more.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo, WithJsonSchema, field_validator

from app.agents.runtime.tool_choice import ToolChoice, check_tool_choice
from app.chat.openai.request_schema import RESPONSE_FORMAT, TOOL_CHOICE
from app.core.json import exact_json

_FORMATS = ("text", "json_object", "json_schema")


def bounded(most: int) -> Any:
    """A list of at most `most` items. Validation stops at the first bad item, so that errors cannot pile up."""
    return Field(max_length=most, fail_fast=True)


def _can_be_passed_on(value: Any) -> Any:
    """The value, unchanged. What was read from JSON can be; a number may have been made from a text.

    Raises:
        UnstorableJsonError: it cannot be sent to a model as JSON, or cannot be stored.
    """
    if isinstance(value, int | float):
        exact_json(value)
    return value


def check_response_format(wanted: dict[str, Any]) -> dict[str, Any]:
    """The form of the answer that the client wants, if it is one of OpenAI's.

    Raises:
        ValueError: it is none.
    """
    kind = wanted.get("type")
    if kind not in _FORMATS:
        raise ValueError(f"type must be one of: {', '.join(_FORMATS)}")
    described = wanted.get("json_schema")
    if kind == "json_schema" and not (isinstance(described, dict) and isinstance(described.get("schema"), dict)):
        raise ValueError("type json_schema needs json_schema.schema, an object")
    return wanted


def _check_modalities(wanted: list[str]) -> list[str]:
    if wanted != ["text"]:
        raise ValueError("the answer is text: no other modality is supported")
    return wanted


class SharedParameters(BaseModel):
    """The parameters that have the same name and meaning in chat completions and in responses."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: str | Annotated[list[str], bounded(16)] | None = None
    seed: int | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    parallel_tool_calls: bool | None = None
    user: str | None = None
    logit_bias: dict[str, int | float] | None = None
    service_tier: str | None = None
    prompt_cache_key: str | None = None
    safety_identifier: str | None = None

    # Checked after conversion: a number may have arrived as text.
    @field_validator("*")
    @classmethod
    def _is_json(cls, value: Any, info: ValidationInfo) -> Any:
        # Also called for the fields of subclasses.
        return _can_be_passed_on(value) if info.field_name in ModelParameters.model_fields else value


class ModelParameters(SharedParameters):
    """The parameters of OpenAI's chat request."""

    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    response_format: (
        Annotated[dict[str, Any], AfterValidator(check_response_format), WithJsonSchema(RESPONSE_FORMAT)] | None
    ) = None
    logprobs: bool | None = None
    tool_choice: Annotated[ToolChoice, AfterValidator(check_tool_choice), WithJsonSchema(TOOL_CHOICE)] | None = None
    metadata: dict[str, Any] | None = None
    modalities: (
        Annotated[
            list[str],
            bounded(16),
            AfterValidator(_check_modalities),
            WithJsonSchema({"type": "array", "items": {"const": "text"}, "minItems": 1, "maxItems": 1}),
        ]
        | None
    ) = None
    reasoning_effort: str | None = None
    verbosity: str | None = None
    prediction: dict[str, Any] | None = None
    store: bool | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the client has set, those that this server does not know among them."""
        values = {name: getattr(self, name) for name in ModelParameters.model_fields} | (self.model_extra or {})
        return {name: value for name, value in values.items() if value is not None}
