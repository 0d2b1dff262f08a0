"""A turn in the form of legacy completions: whole, streamed or replayed."""

from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.chat.openai.completion import agent_of, envelope, generated, usage_of
from app.chat.openai.documents import CompletionUsage, FinishReason, GeneratedContent, stream_of
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat.turns.run import RunningTurn
from app.chat_models.protocol import JsonObject
from app.core import sse
from app.core.errors import AppError

_KIND = "text_completion"


class TextChoice(BaseModel):
    text: str
    index: Literal[0]
    logprobs: None
    finish_reason: FinishReason


class TextCompletion(BaseModel):
    """A turn as a legacy completion, with the session that it belongs to and the content that it generated."""

    id: str = Field(pattern="^cmpl-")
    object: Literal["text_completion"]
    created: int = Field(description="Seconds since 1970")
    model: str
    choices: list[TextChoice] = Field(min_length=1, max_length=1)
    usage: CompletionUsage
    session_id: str
    generated_content: list[GeneratedContent] = Field(default=[], description="Left out if there is none")


class TextChunkChoice(BaseModel):
    """A piece of the answer. The last piece has the reason for the end."""

    text: str
    index: Literal[0]
    logprobs: None
    finish_reason: FinishReason | None


class TextCompletionChunk(BaseModel):
    """One event of a stream. `session_id` is in the first one, `generated_content` in the one with `finish_reason`."""

    id: str = Field(pattern="^cmpl-")
    object: Literal["text_completion"]
    created: int = Field(description="Seconds since 1970")
    model: str
    choices: list[TextChunkChoice] = Field(max_length=1)
    usage: CompletionUsage | None = None
    session_id: str = Field(default="", description="Only in the first event")
    generated_content: list[GeneratedContent] = Field(default=[], description="Left out if there is none")


TEXT_COMPLETION: dict[str, Any] = {
    "model": TextCompletion,
    "description": "The whole answer, or with `stream` its pieces: events `data: {…}`; the last is `data: [DONE]`",
    "content": stream_of("TextCompletionChunk"),
}


@dataclass(frozen=True)
class TextForm:
    """A turn as a legacy completion. `wants_usage` asks for a piece with the usage at the end of a stream."""

    wants_usage: bool

    def whole(self, result: TurnResult) -> JsonObject:
        """The `text_completion`."""
        text = result.message.get("content") or ""
        return {
            **_piece(result.turn, text, result.finish_reason),
            "usage": usage_of(result.usage),
            "session_id": result.turn.session_name,
            **agent_of(result.turn),
            **generated(result.contents),
        }

    async def stream(self, running: RunningTurn) -> AsyncGenerator[bytes]:
        """The pieces of a running turn as server-sent events."""
        turn = running.turn.identity
        yield sse.frame({**_piece(turn, ""), "session_id": turn.session_name})
        is_over = False
        while not is_over:
            deltas, is_over = await running.deltas.next_ones(sse.KEEP_ALIVE_SECONDS)
            texts = [text for each in deltas if isinstance(text := each.delta.get("content"), str) and text]
            if texts:
                yield sse.frame(_piece(turn, "".join(texts)))
            elif not is_over:
                yield sse.KEEP_ALIVE
        try:
            result = await running.result()
        except AppError as error:
            yield sse.frame(error.body()) + sse.DONE
        else:
            yield self._end(result, result.links)

    async def replay(self, result: TurnResult) -> AsyncIterator[bytes]:
        """A stored result as server-sent events."""
        yield self._end(result, result.message.get("content") or "")

    def _end(self, result: TurnResult, text: str) -> bytes:
        """What ends a stream: the rest of the answer, why it has ended, and what was generated."""
        last = {**_piece(result.turn, text, result.finish_reason), **generated(result.contents)}
        usage = {**envelope(result.turn, _KIND), "choices": [], "usage": usage_of(result.usage)}
        return b"".join([sse.frame(last), *([sse.frame(usage)] if self.wants_usage else []), sse.DONE])


def _piece(turn: TurnIdentity, text: str, finish_reason: str | None = None) -> JsonObject:
    choice = {"text": text, "index": 0, "logprobs": None, "finish_reason": finish_reason}
    return {**envelope(turn, _KIND), "choices": [choice]}
