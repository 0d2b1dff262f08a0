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
from app.chat.openai.as_sent import AsSent
from app.chat.openai.parameters import ModelParameters, bounded
from app.chat.openai.parts import check_part
from app.chat.openai.request_schema import (
    describe_agent_request,
    describe_call,
    describe_message,
    describe_request,
)
from app.chat.openai.unknown_parameters import check_unknown_parameters
from app.chat.turns.request import TurnOwner, TurnRequest
from app.chat.turns.targets import Target, check_scope
from app.chat_models.protocol import JsonObject
from app.core.json import storable_text
from app.credits.max_credits import MaxCredits
from app.idempotency.service import IdempotentRequest
from app.sessions.messages import MessageRole


def _as_text(name: Any) -> Any:
    """A name that came as a number, as text."""
    if isinstance(name, float) and isfinite(name):
        return repr(name)
    return str(name) if isinstance(name, int) and not isinstance(name, bool) else name


def _is_storable(name: str) -> str:
    if storable_text(name) != name:
        raise ValueError("must have neither NUL characters nor half surrogate pairs")
    return name


# Any text, as clients have names for their conversations already; so long that it fits into Postgres's index.
SessionName = Annotated[str, BeforeValidator(_as_text), StringConstraints(max_length=512), AfterValidator(_is_storable)]


class CalledFunction(BaseModel):
    name: Annotated[str, StringConstraints(min_length=1)]
    arguments: str


class ToolCall(BaseModel):
    """A call in a message. It may have other fields."""

    model_config = ConfigDict(json_schema_extra=describe_call)

    id: Annotated[str, StringConstraints(min_length=1)]
    type: str = "function"
    function: CalledFunction | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.type == "function" and self.function is None:
            raise ValueError("a call of type function needs function")
        return self


class ChatMessage(BaseModel):
    """A message in OpenAI's form. It may have other fields."""

    model_config = ConfigDict(json_schema_extra=describe_message)

    role: MessageRole
    content: str | Annotated[list[dict[str, Any]], bounded(1000)] | None = None
    tool_calls: Annotated[list[ToolCall], bounded(128)] | None = None
    tool_call_id: str | None = None
    name: Annotated[str, StringConstraints(max_length=256)] | None = None
    # Refers to an audio answer that the vendor stores. It may be anybody's, and its length is unknown.
    audio: None = None
    # The form of calls before there were tools. Their results have a role that is not accepted either.
    function_call: None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.role == MessageRole.TOOL and not self.tool_call_id:
            raise ValueError("a message of role tool needs tool_call_id")
        if self.role != MessageRole.TOOL and self.tool_call_id is not None:
            raise ValueError(f"a message of role {self.role} has no tool_call_id")
        if self.content is None and self.role != MessageRole.ASSISTANT:
            raise ValueError(f"a message of role {self.role} needs content")
        return self

    @field_validator("tool_calls")
    @classmethod
    def _are_a_models(cls, calls: Any, info: ValidationInfo) -> Any:
        role = info.data.get("role", MessageRole.ASSISTANT)
        if calls and role != MessageRole.ASSISTANT:
            raise ValueError(f"a message of role {role} has no tool_calls")
        return calls

    @field_validator("content")
    @classmethod
    def _has_known_parts(cls, content: Any, info: ValidationInfo) -> Any:
        for part in content if isinstance(content, list) else ():
            check_part(part, info.data.get("role", ""))
        return content


class ClientFunction(BaseModel):
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    parameters: dict[str, Any] | None = None


class ClientTool(BaseModel):
    """A function that the client runs itself. It may have other fields, and so may `function`."""

    type: Literal["function"]
    function: ClientFunction


class StreamOptions(BaseModel):
    include_usage: bool = False


class ElevenLabsExtraBody(BaseModel):
    conversation_id: SessionName | None = None


class ChatRequest(ModelParameters):
    """OpenAI's chat request. `session_id` continues a conversation that the server has stored.

    The parameters that are declared here are for this server. What is not declared at all goes to the model, too; see
    `unknown_parameters`.
    """

    model_config = ConfigDict(extra="allow", json_schema_extra=describe_request)

    messages: Annotated[list[Annotated[JsonObject, AsSent(ChatMessage)]], bounded(5000)] = Field(min_length=1)
    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=1)] | None = None
    tools: Annotated[list[Annotated[JsonObject, AsSent(ClientTool)]], bounded(128)] | None = None
    session_id: Annotated[SessionName, StringConstraints(min_length=1)] | None = None
    elevenlabs_extra_body: ElevenLabsExtraBody | None = None
    max_credits: MaxCredits | None = None
    # ElevenLabs' name for `user`.
    user_id: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _unknown_ones_can_be_passed_on(cls, body: Any) -> Any:
        if isinstance(body, dict):
            check_unknown_parameters(body, cls.model_fields)
        return body

    @model_validator(mode="after")
    def _names_its_user(self) -> Self:
        self.user = self.user or self.user_id
        return self

    def turn_request(self, caller: Caller, target: Target, idempotent: IdempotentRequest | None) -> TurnRequest:
        """What the request asks of a turn. Messages and tools stay as the client sent them.

        Raises:
            ScopeNotAllowedError: the caller's key allows the orchestrator, but not the agent that is named.
        """
        check_scope(caller, target)
        return self.turn_of(TurnOwner.of(caller), target, idempotent)

    def turn_of(self, owner: TurnOwner, target: Target, idempotent: IdempotentRequest | None) -> TurnRequest:
        """What the request asks of a turn that runs for this owner."""
        return TurnRequest(
            owner=owner,
            target=target,
            messages=self.messages,
            client_tools=self.tools or [],
            parameters=self.parameters,
            is_streamed=bool(self.stream),
            session_name=self.session_id,
            conversation_name=self.elevenlabs_extra_body.conversation_id if self.elevenlabs_extra_body else None,
            idempotent=idempotent,
            max_credits=self.max_credits,
        )

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with a chunk that reports the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class AgentRequest(ChatRequest):
    """A chat request, or `{"prompt": "..."}` as a short form of one."""

    model_config = ConfigDict(json_schema_extra=describe_agent_request)

    @model_validator(mode="before")
    @classmethod
    def _prompt_is_a_message(cls, body: Any) -> Any:
        if isinstance(body, dict) and isinstance(body.get("prompt"), str) and "messages" not in body:
            given = {name: value for name, value in body.items() if name != "prompt"}
            return {**given, "messages": [{"role": "user", "content": body["prompt"]}]}
        return body
