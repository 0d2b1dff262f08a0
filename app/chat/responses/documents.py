"""Responses as `/openapi.json` describes them. `resource.py` and `events.py` make them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.chat.openai.documents import GeneratedContent
from app.core.documentation import links


class OutputPart(BaseModel):
    """A text of the model: what it says, refuses or thinks."""

    type: Literal["output_text", "refusal", "reasoning_text", "summary_text"]
    text: str = Field(default="", description="Of every type but `refusal`")
    refusal: str = Field(default="", description="Only of the type `refusal`")
    annotations: list[dict[str, Any]] = Field(default=[], max_length=0, description="Only of the type `output_text`")
    logprobs: list[dict[str, Any]] = Field(default=[], description="Only of the type `output_text`")


class OutputMessage(BaseModel):
    """What the model says."""

    id: str = Field(pattern="^msg_")
    type: Literal["message"]
    status: Literal["in_progress", "completed", "incomplete"]
    role: Literal["assistant"]
    content: list[OutputPart]


class OutputCall(BaseModel):
    """A call of one of the client's functions; `arguments` is JSON as text."""

    id: str = Field(pattern="^fc_")
    type: Literal["function_call"]
    status: Literal["in_progress", "completed", "incomplete"]
    call_id: str
    name: str
    arguments: str


class OutputReasoning(BaseModel):
    """What the model has thought, as a summary if the request has asked for one."""

    id: str = Field(pattern="^rs_")
    type: Literal["reasoning"]
    summary: list[OutputPart]
    content: list[OutputPart] = Field(default=[], description="Left out if there is a summary")
    encrypted_content: str = Field(default="", description="For the next request; only if `include` asks for it")


class ResponseUsage(BaseModel):
    """The tokens of all model calls of the turn."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseFailure(BaseModel):
    code: Literal["server_error", "rate_limit_exceeded"]
    message: str


class IncompleteDetails(BaseModel):
    reason: Literal["max_output_tokens", "content_filter"]


class ResponseRead(BaseModel):
    """A turn in the form of OpenAI's responses, with the session that it belongs to and the content it generated."""

    model_config = ConfigDict(title="Response")

    id: str = Field(pattern="^resp_")
    object: Literal["response"]
    created_at: int = Field(description="Seconds since 1970")
    completed_at: int | None = Field(description="Seconds since 1970")
    status: Literal["queued", "in_progress", "completed", "incomplete", "failed", "cancelled"]
    background: bool
    error: ResponseFailure | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    max_tool_calls: int | None
    model: str
    output: list[OutputMessage | OutputCall | OutputReasoning]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: dict[str, Any]
    store: bool
    text: dict[str, Any]
    tool_choice: str | dict[str, Any]
    tools: list[dict[str, Any]] = Field(description="The client's functions")
    temperature: float
    top_p: float
    top_logprobs: int
    presence_penalty: float
    frequency_penalty: float
    truncation: Literal["auto", "disabled"]
    service_tier: str
    metadata: dict[str, str]
    user: str | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    usage: ResponseUsage | None
    conversation: dict[str, str] | None = Field(description="The session, if the request names it as `conversation`")
    session_id: str | None = Field(description="null with `store: false`")
    generated_content: list[GeneratedContent] = Field(default=[], description="Left out if there is none")


_TYPES = (
    *(
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ),
    *("response.output_item.added", "response.output_item.done"),
    *("response.content_part.added", "response.content_part.done"),
    *("response.output_text.delta", "response.output_text.done"),
    *("response.refusal.delta", "response.refusal.done"),
    *("response.function_call_arguments.delta", "response.function_call_arguments.done"),
    *("response.reasoning_text.delta", "response.reasoning_text.done"),
    *("response.reasoning_summary_part.added", "response.reasoning_summary_part.done"),
    *("response.reasoning_summary_text.delta", "response.reasoning_summary_text.done"),
    "error",
)
# An event as OpenAPI 3.2 describes one: its fields, and in `data` the text that is JSON.
_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["event", "data"],
    "properties": {
        "event": {"enum": list(_TYPES)},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {
                "type": "object",
                "required": ["type", "sequence_number"],
                "properties": {
                    "type": {"enum": list(_TYPES)},
                    "sequence_number": {"type": "integer"},
                    "response": {"$ref": "#/components/schemas/ResponseRead"},
                },
            },
        },
    },
}
RESPONSE: dict[str, Any] = {
    "model": ResponseRead,
    "description": "The whole response, or with `stream` its events: `event: TYPE` and `data: {…}`. The last is "
    "`response.completed`, `response.incomplete` or `response.failed`, and before a failure comes the event `error`. "
    "Lines that begin with a colon keep the connection alive.",
    "links": links("session_id", "session_id", "list_messages", "get_status"),
    "content": {"text/event-stream": {"itemSchema": _EVENT}},
}
