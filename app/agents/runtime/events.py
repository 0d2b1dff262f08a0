from dataclasses import dataclass

from app.chat_models.protocol import JsonObject

# Sets apart what several calls, or several agents, said in one answer.
BETWEEN_TEXTS = "\n\n"
# The member of a message or a delta that holds what the model thinks.
REASONING = "reasoning_content"


@dataclass(frozen=True)
class Delta:
    """A piece of the answer as the client is to see it: an OpenAI `delta`, and its `logprobs` if any."""

    delta: JsonObject
    logprobs: JsonObject | None = None


@dataclass(frozen=True)
class Finished:
    """The whole answer: one assistant message and why it ended. Always the last event."""

    message: JsonObject
    finish_reason: str
    logprobs: JsonObject | None = None

    @property
    def text(self) -> str:
        return self.message.get("content") or ""


Event = Delta | Finished
