"""A legacy completion request on the wire: a turn whose only message is the prompt."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema, field_validator

from app.chat.openai.request import ChatRequest, SessionName, StreamOptions
from app.credits.max_credits import MaxCredits

_Nothing = {"type": "null"}
_Penalty = Annotated[float, Field(ge=-2, le=2)]


class TextCompletionRequest(BaseModel):
    """OpenAI's request of the time before chats. What only a model without an agent could do is refused."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"prompt": "Hello"}, {"prompt": "Hello", "stream": True}]},
    )

    prompt: str | Annotated[list[str], Field(min_length=1, max_length=1)]
    model: str | None = None
    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    presence_penalty: _Penalty | None = None
    frequency_penalty: _Penalty | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    user: str | None = None
    n: Annotated[int, Field(strict=True, ge=1, le=1)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    session_id: Annotated[SessionName, StringConstraints(min_length=1)] | None = None
    max_credits: MaxCredits | None = None
    best_of: Annotated[int, Field(strict=True, ge=1, le=1)] | None = None
    echo: Annotated[bool, WithJsonSchema({"const": False})] | None = None
    suffix: Annotated[str, WithJsonSchema({"const": ""})] | None = None
    logprobs: Annotated[Any, WithJsonSchema(_Nothing)] = None

    @field_validator("echo", "suffix", "logprobs")
    @classmethod
    def _is_none(cls, value: Any) -> Any:
        if value is not None and value is not False and value != "":
            raise ValueError("the answer is an agent's: it neither continues the prompt nor has log probabilities")
        return value

    @property
    def wants_usage(self) -> bool:
        """Whether a stream is to end with a piece that reports the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    @property
    def chat(self) -> ChatRequest:
        """The same as a chat request."""
        given = self.model_dump(exclude_none=True, exclude={"prompt", "best_of", "echo", "suffix", "logprobs"})
        prompt = self.prompt if isinstance(self.prompt, str) else self.prompt[0]
        return ChatRequest.model_validate({**given, "messages": [{"role": "user", "content": prompt}]})
