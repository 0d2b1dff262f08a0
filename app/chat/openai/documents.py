"""The results of a chat request as `/openapi.json` describes them. `completion.py` makes them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.core.documentation import links
from app.generations.media_types import ContentType
from app.generations.states import Status

FinishReason = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class CompletionFunction(BaseModel):
    """The function that is called; `arguments` is JSON as text."""

    name: str
    arguments: str


class CompletionToolCall(BaseModel):
    """A call of a tool of the client's, with all that the model has added to it."""

    model_config = ConfigDict(extra="allow")

    id: str
    type: Literal["function"]
    function: CompletionFunction


class CompletionMessage(BaseModel):
    """The answer, with all that the model has added to it."""

    model_config = ConfigDict(extra="allow")

    role: Literal["assistant"]
    content: str | None
    tool_calls: list[CompletionToolCall] = Field(default=[], description="Left out if there are none")


class CompletionChoice(BaseModel):
    """The only choice: a turn has one answer."""

    index: Literal[0]
    message: CompletionMessage
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason


class CompletionUsage(BaseModel):
    """The tokens of all model calls of the turn."""

    model_config = ConfigDict(extra="allow")

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class GeneratedContent(BaseModel):
    """A content that the turn has generated, or is still generating."""

    id: str
    status: Status
    content_type: ContentType | None
    storage_url: str | None


class _Turn(BaseModel):
    id: str = Field(pattern="^cmpl-")
    created: int = Field(description="Seconds since 1970")
    model: str
    agent_id: str = Field(default="", description="Only if the request named the agent by its id")
    generated_content: list[GeneratedContent] = Field(default=[], description="Left out if there is none")


class ChatCompletion(_Turn):
    """A turn in OpenAI's form, with the session that it belongs to and the content that it generated."""

    object: Literal["chat.completion"]
    choices: list[CompletionChoice] = Field(min_length=1, max_length=1)
    usage: CompletionUsage
    session_id: str


class ChunkChoice(BaseModel):
    """A piece of the answer in OpenAI's form. The last piece has the reason for the end."""

    index: Literal[0]
    delta: dict[str, Any]
    logprobs: dict[str, Any] | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(_Turn):
    """One event of a stream. `session_id` is in the first one, `generated_content` in the one with `finish_reason`."""

    object: Literal["chat.completion.chunk"]
    choices: list[ChunkChoice] = Field(max_length=1)
    usage: CompletionUsage | None = None
    session_id: str = Field(default="", description="Only in the first chunk")


def _schema(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


_FAILURES = (
    "ProviderErrorError",
    "ProviderRateLimitedError",
    "ProviderTimeoutError",
    "ProviderUnavailableError",
    "ServiceUnavailableError",
    "InternalErrorError",
)


def stream_of(chunk: str) -> dict[str, Any]:
    """A stream of the chunks with this name, and what may come after them.

    An event is as OpenAPI 3.2 describes one: its fields, and in `data` the text that is JSON, or marks the end.
    """
    sent = {
        "contentMediaType": "application/json",
        "contentSchema": {"anyOf": [_schema(chunk), *map(_schema, _FAILURES)]},
    }
    data = {"type": "string", "anyOf": [sent, {"const": "[DONE]"}]}
    return {"text/event-stream": {"itemSchema": {"type": "object", "required": ["data"], "properties": {"data": data}}}}


COMPLETION: dict[str, Any] = {
    "model": ChatCompletion,
    "description": "The whole answer, or with `stream` its pieces: events `data: {…}`, of which the last is "
    "`data: [DONE]`. A stream that fails has an event with an error before it. Lines that begin with a colon keep the "
    "connection alive.",
    "links": links("session_id", "session_id", "list_messages", "get_status"),
    "content": stream_of("ChatCompletionChunk"),
}
