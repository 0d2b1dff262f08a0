from dataclasses import dataclass

from app.chat_models.protocol import JsonObject


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


Event = Delta | Finished
