from math import isfinite
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from app.api_keys.caller import Caller
from app.chat.openai.parts import check_part
from app.chat.turns.request import TurnRequest
from app.chat.turns.targets import Target
from app.core.json import exact_json, storable_text
from app.idempotency.service import IdempotentRequest
from app.sessions.messages import MessageRole


def _as_text(name: Any) -> Any:
    """A name that came as a number, as text."""
    if isinstance(name, float) and isfinite(name):
        return repr(name)
    is_number = isinstance(name, int) and not isinstance(name, bool)
    return str(name) if is_number and name.bit_length() < _LONGEST_NUMBER else name


def _is_storable(name: str) -> str:
    if storable_text(name) != name:
        raise ValueError("must have neither NUL characters nor half surrogate pairs")
    return name


# In bits. Such a number is longer than a name may be.
_LONGEST_NUMBER = 2000
# Any text, as clients have names for their conversations already; so long that it fits into Postgres's index.
SessionName = Annotated[str, BeforeValidator(_as_text), StringConstraints(max_length=512), AfterValidator(_is_storable)]


def _bounded(most: int) -> Any:
    """A list of at most `most` items. Validation stops at the first bad item, so that errors cannot pile up."""
    return Field(max_length=most, fail_fast=True)


def _can_be_passed_on(value: Any) -> Any:
    """The value, unchanged.

    Raises:
        UnstorableJsonError: it cannot be sent to a model as JSON, or cannot be stored.
    """
    exact_json(value)
    return value


class ToolCall(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: Annotated[str, StringConstraints(min_length=1)]


class ChatMessage(BaseModel):
    """A message in OpenAI's form. Other fields are kept as they are."""

    # The role is text afterwards, like everything else that is passed on.
    model_config = ConfigDict(extra="allow", use_enum_values=True)

    role: MessageRole
    content: str | Annotated[list[dict[str, Any]], _bounded(1000)] | None = None
    tool_calls: Annotated[list[ToolCall], _bounded(128)] | None = None
    tool_call_id: str | None = None
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    # Refers to an audio answer that the vendor stores. It may be anybody's, and its length is unknown.
    audio: None = None

    _is_json = model_validator(mode="before")(_can_be_passed_on)

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.role == MessageRole.TOOL and not self.tool_call_id:
            raise ValueError("a message of role tool needs tool_call_id")
        if self.role != MessageRole.TOOL and self.tool_call_id is not None:
            raise ValueError(f"a message of role {self.role} has no tool_call_id")
        if self.content is None and self.role != MessageRole.ASSISTANT:
            raise ValueError(f"a message of role {self.role} needs content")
        return self

    @field_validator("content")
    @classmethod
    def _has_known_parts(cls, content: Any, info: ValidationInfo) -> Any:
        for part in content if isinstance(content, list) else ():
            check_part(part, info.data.get("role", ""))
        return content


class ClientFunction(BaseModel):
    model_config = ConfigDict(extra="allow")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class ClientTool(BaseModel):
    """A function that the client runs itself."""

    model_config = ConfigDict(extra="allow")

    type: Literal["function"]
    function: ClientFunction


class StreamOptions(BaseModel):
    include_usage: bool = False


class ElevenLabsExtraBody(BaseModel):
    conversation_id: SessionName | None = None


class ModelParameters(BaseModel):
    """The parameters of OpenAI's chat request that are passed on to the model unchanged."""

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    stop: str | Annotated[list[str], _bounded(16)] | None = None
    seed: int | None = None
    response_format: dict[str, Any] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None

    # Checked after conversion: a number may have arrived as text.
    @field_validator("*")
    @classmethod
    def _is_json(cls, value: Any, info: ValidationInfo) -> Any:
        # Also called for the fields of subclasses.
        return _can_be_passed_on(value) if info.field_name in ModelParameters.model_fields else value

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters that the client has set."""
        values = {name: getattr(self, name) for name in ModelParameters.model_fields}
        return {name: value for name, value in values.items() if value is not None}


class ChatRequest(ModelParameters):
    """OpenAI's chat request. `session_id` continues a conversation that the server has stored."""

    messages: Annotated[list[ChatMessage], _bounded(5000)] = Field(min_length=1)
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=1)] | None = None
    tools: Annotated[list[ClientTool], _bounded(128)] | None = None
    session_id: Annotated[SessionName, StringConstraints(min_length=1)] | None = None
    elevenlabs_extra_body: ElevenLabsExtraBody | None = None

    _tools_are_json = field_validator("tools", mode="before")(_can_be_passed_on)

    def turn_request(self, caller: Caller, target: Target, idempotent: IdempotentRequest | None) -> TurnRequest:
        """What the request asks of a turn. Messages and tools stay as the client sent them."""
        return TurnRequest(
            caller=caller,
            target=target,
            messages=[message.model_dump(exclude_unset=True) for message in self.messages],
            client_tools=[tool.model_dump(exclude_unset=True) for tool in self.tools or []],
            parameters=self.parameters,
            is_streamed=bool(self.stream),
            session_name=self.session_id,
            conversation_name=self.elevenlabs_extra_body.conversation_id if self.elevenlabs_extra_body else None,
            idempotent=idempotent,
        )

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with a chunk that reports the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class AgentRequest(ChatRequest):
    """A chat request, or `{"prompt": "..."}` as a short form of one."""

    @model_validator(mode="before")
    @classmethod
    def _prompt_is_a_message(cls, body: Any) -> Any:
        if isinstance(body, dict) and isinstance(body.get("prompt"), str) and "messages" not in body:
            return {**body, "messages": [{"role": "user", "content": body["prompt"]}]}
        return body
