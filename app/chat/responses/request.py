import re
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from app.api_keys.caller import Caller
from app.chat.openai.parameters import SharedParameters, bounded
from app.chat.openai.request import SessionName
from app.chat.openai.unknown_parameters import check_unknown_parameters
from app.chat.responses.client_tools import as_chat_choice, as_chat_tool, check_tools
from app.chat.responses.input_items import Conversation, read_input
from app.chat.responses.places import refuse
from app.chat.responses.request_schema import FORMAT, INPUT, TOOL_CHOICE, TOOLS, describe_request
from app.chat.turns.lasting import LastingTurn
from app.chat.turns.request import TurnOwner, TurnRequest
from app.chat.turns.result import TurnResult
from app.chat.turns.targets import Target, check_scope
from app.chat_models.protocol import JsonObject
from app.core.errors import InvalidRequestError
from app.credits.max_credits import MaxCredits
from app.idempotency.service import IdempotentRequest
from app.kept_responses.keeping import Keeping
from app.sessions.lease import PastTurn

_LOGPROBS = "message.output_text.logprobs"
_ENCRYPTED = "reasoning.encrypted_content"
# Chat completions have them; here they have another name, or would change what the server decides.
_OF_CHAT = {
    "messages": "the conversation is called input here",
    "maxtokens": "the length of the answer is limited by max_output_tokens",
    "maxcompletiontokens": "the length of the answer is limited by max_output_tokens",
    "responseformat": "the form of the answer is text.format",
    "reasoningeffort": "it is written reasoning.effort",
    "verbosity": "it is written text.verbosity",
    "logprobs": f"log probabilities are asked for with include: {_LOGPROBS}",
    "modalities": "the answer is text",
    "prediction": "a predicted answer is not supported here",
    "n": "a turn has one answer",
}


# Where a turn refuses one of its messages.
_MESSAGE = re.compile(r"messages\.([0-9]+)(.*)")


class ReasoningOptions(BaseModel):
    effort: str | None = None
    summary: Literal["auto", "concise", "detailed", "none"] | None = None
    # Its former name.
    generate_summary: Literal["auto", "concise", "detailed"] | None = None


def _check_format(wanted: dict[str, Any]) -> dict[str, Any]:
    kind = wanted.get("type")
    if kind not in ("text", "json_object", "json_schema"):
        raise ValueError("type must be one of: text, json_object, json_schema")
    if kind == "json_schema" and not (isinstance(wanted.get("schema"), dict) and isinstance(wanted.get("name"), str)):
        raise ValueError("type json_schema needs name and schema, an object")
    return wanted


class TextOptions(BaseModel):
    format: Annotated[dict[str, Any], AfterValidator(_check_format), WithJsonSchema(FORMAT)] | None = None
    verbosity: str | None = None


class ConversationParam(BaseModel):
    id: Annotated[SessionName, StringConstraints(min_length=1)]


class ResponseStreamOptions(BaseModel):
    # Padding that hides the lengths of deltas from who sees the encrypted stream. There is none here.
    include_obfuscation: bool | None = None


class ResponseRequest(SharedParameters):
    """OpenAI's request for a response. Parameters that are not declared go to the model; see `unknown_parameters`."""

    model_config = ConfigDict(extra="allow", json_schema_extra=describe_request)

    model: str
    input: Annotated[Any, AfterValidator(read_input), WithJsonSchema(INPUT)]
    instructions: str | None = None
    tools: Annotated[list[Any], AfterValidator(check_tools), WithJsonSchema(TOOLS)] | None = None
    tool_choice: Annotated[str | dict[str, Any], WithJsonSchema(TOOL_CHOICE)] | None = None
    text: TextOptions | None = None
    reasoning: ReasoningOptions | None = None
    include: Annotated[list[str], bounded(64)] | None = None
    max_output_tokens: int | None = Field(default=None, ge=1)
    # Of the tools that a vendor runs. The agents' own are limited by their settings.
    max_tool_calls: int | None = Field(default=None, ge=1)
    # The agents' settings say how much of a conversation is sent to the model.
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, Annotated[str, StringConstraints(max_length=512)]] | None = Field(default=None, max_length=16)
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    store: bool | None = None
    background: bool | None = None
    previous_response_id: str | None = None
    session_id: Annotated[SessionName, StringConstraints(min_length=1)] | None = None
    # OpenAI's name for a session: its id, or an object with it.
    conversation: Annotated[SessionName, StringConstraints(min_length=1)] | ConversationParam | None = None
    max_credits: MaxCredits | None = None
    # What Codex tells its own server of itself.
    client_metadata: Any = None

    @model_validator(mode="before")
    @classmethod
    def _unknown_ones_can_be_passed_on(cls, body: Any) -> Any:
        if isinstance(body, dict):
            check_unknown_parameters(body, cls.model_fields, _OF_CHAT)
        return body

    @field_validator("tool_choice")
    @classmethod
    def _has_a_known_form(cls, choice: Any) -> Any:
        if choice is not None:
            as_chat_choice(choice)
        return choice

    @model_validator(mode="after")
    def _has_one_past(self) -> Self:
        pasts = ("previous_response_id", "conversation", "session_id")
        given = [name for name in pasts if getattr(self, name) is not None]
        if len(given) > 1:
            refuse((given[1],), f"not together with {given[0]}: each of them says what comes before")
        if not self.is_kept and given and given[0] != "previous_response_id":
            refuse(("store",), f"must not be false with {given[0]}: nothing would be added to it")
        return self

    @model_validator(mode="after")
    def _can_be_asked_for_again(self) -> Self:
        if self.background and not self.is_kept:
            refuse(("background",), "needs store: what runs in the background is asked for again")
        return self

    def turn_request(
        self,
        caller: Caller,
        idempotent: IdempotentRequest | None,
        read: Conversation,
        past: PastTurn | None,
        keeping: Callable[[TurnResult], Keeping],
        *,
        lasting: LastingTurn | None = None,
        session_name: str | None = None,
    ) -> TurnRequest:
        """What the request asks of a turn.

        Args:
            caller: who asks.
            idempotent: the request as one that is to run once, if it has an Idempotency-Key.
            read: its input, with all that the model needs of it.
            past: the turn of the response that it goes on from.
            keeping: makes what is kept of its result, unless nothing is to be.
            lasting: makes the turn outlast its client, if it runs in the background.
            session_name: the session that it has begun in, if it begins again.

        Raises:
            ScopeNotAllowedError: the caller's key allows the orchestrator, but not the agent that is named.
        """
        target = Target.of_model(self.model)
        check_scope(caller, target)
        asked = self.turn_of(TurnOwner.of(caller), target, idempotent)
        return replace(
            asked,
            messages=read.messages,
            session_name=session_name or asked.session_name,
            past=past,
            is_unkept=not self.is_kept,
            keeping=keeping if self.is_kept else None,
            lasting=lasting,
        )

    def turn_of(self, owner: TurnOwner, target: Target, idempotent: IdempotentRequest | None) -> TurnRequest:
        """What the request asks of a turn that runs for this owner, and of which no response is kept."""
        return TurnRequest(
            owner=owner,
            target=target,
            messages=self.read.messages,
            client_tools=[as_chat_tool(tool) for tool in self.tools or ()],
            parameters=self.parameters,
            is_streamed=bool(self.stream),
            session_name=self.session_id or self.conversation_id,
            conversation_name=None,
            idempotent=idempotent,
            instructions=self.instructions,
            max_credits=self.max_credits,
        )

    @property
    def is_kept(self) -> bool:
        """Whether the response is kept, as it is unless the client says no."""
        return self.store is not False

    @property
    def conversation_id(self) -> str | None:
        """The name of the session that is given as a conversation."""
        return self.conversation.id if isinstance(self.conversation, ConversationParam) else self.conversation

    @property
    def read(self) -> Conversation:
        """The input as messages of a chat."""
        read: Conversation = self.input
        return read

    @property
    def parameters(self) -> JsonObject:
        """The parameters of the model's calls, by the names that chat completions have for them."""
        text, reasoning = self.text or TextOptions(), self.reasoning or ReasoningOptions()
        values = {name: getattr(self, name) for name in SharedParameters.model_fields} | {
            "max_completion_tokens": self.max_output_tokens,
            "reasoning_effort": reasoning.effort,
            "verbosity": text.verbosity,
            "response_format": None if text.format is None else _as_response_format(text.format),
            "tool_choice": None if self.tool_choice is None else as_chat_choice(self.tool_choice),
            "logprobs": True if self.wants_logprobs else None,
            **(self.model_extra or {}),
        }
        return {name: value for name, value in values.items() if value is not None}

    @property
    def wants_logprobs(self) -> bool:
        """Whether the response is to have log probabilities."""
        return bool(self.top_logprobs) or _LOGPROBS in (self.include or ())

    @property
    def wants_sealed_thoughts(self) -> bool:
        """Whether the response is to have what the model needs back; see `thoughts`."""
        return _ENCRYPTED in (self.include or ())

    @property
    def wants_summary(self) -> bool:
        """Whether the model's reasoning is to be shown as a summary of it, and not as its text."""
        return bool(self.reasoning and (self.reasoning.summary or self.reasoning.generate_summary or "none") != "none")

    def in_its_words(self, refusal: InvalidRequestError, read: Conversation) -> InvalidRequestError:
        """A refusal of the turn, whose messages the client knows as items of the input."""
        match = _MESSAGE.match(refusal.param or "")
        if match is None:
            return refusal
        index, places = int(match[1]), read.places
        field = match[2].replace(".tool_call_id", ".call_id")
        place = f"input.{places[index]}{field}" if index < len(places) else "input"
        return InvalidRequestError(refusal.text.replace(match[0], place, 1), param=place)


def _as_response_format(wanted: JsonObject) -> JsonObject:
    if wanted["type"] != "json_schema":
        return {"type": wanted["type"]}
    described = {name: value for name, value in wanted.items() if name != "type" and value is not None}
    return {"type": "json_schema", "json_schema": described}
