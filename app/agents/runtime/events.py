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
    """The whole answer: one assistant message and why it ended. Always the last event of a run."""

    message: JsonObject
    finish_reason: str
    logprobs: JsonObject | None = None

    @property
    def text(self) -> str:
        return self.message.get("content") or ""


Event = Delta | Finished
