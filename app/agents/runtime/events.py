from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from app.chat_models.protocol import JsonObject

# Separates the texts of several model calls, or of several agents, in one answer.
BETWEEN_TEXTS = "\n\n"
# The field of a message or a delta that holds the model's reasoning.
REASONING = "reasoning_content"


@dataclass(frozen=True)
class Delta:
    """A piece of the answer as the client may see it: an OpenAI `delta`, and its `logprobs` if there are any."""

    delta: JsonObject
    logprobs: JsonObject | None = None


@dataclass(frozen=True)
class Finished:
    """The whole answer of a run: one assistant message and why it ended."""

    message: JsonObject
    finish_reason: str
    logprobs: JsonObject | None = None

    @property
    def text(self) -> str:
        return self.message.get("content") or ""


# Takes pieces of an answer that have come at once, in order. Once it returns there is room for more.
Say = Callable[[Sequence[Delta]], Awaitable[None]]


async def unheard(_: Sequence[Delta]) -> None:
    """For runs of whose answer nobody hears before it is whole."""
