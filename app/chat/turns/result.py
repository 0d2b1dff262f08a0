"""What a turn leaves for its client, in the form of no protocol. Live responses and replays are made from it alike."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from app.chat_models.protocol import JsonObject, Usage


@dataclass(frozen=True)
class TurnIdentity:
    """What is known of a turn before it runs.

    `model` is the name that responses give as the model. `agent_id` is None unless the client has named the agent by
    its id. `session_id` is the session's name in the API.
    """

    id: str
    created_at: datetime
    model: str
    agent_id: str | None
    session_id: str

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """The identity that is stored in a turn's result."""
        return cls(**{**stored, "created_at": datetime.fromisoformat(stored["created_at"])})


@dataclass(frozen=True)
class TurnContent:
    """A generation that the turn requested, as it was when the turn ended. `url` is the URL of its first output."""

    id: str
    status: str
    content_type: str | None
    url: str | None


@dataclass(frozen=True)
class TurnResult:
    """A turn that has ended with an answer.

    Attributes:
        turn: the turn.
        message: the assistant's message, in the form in which chat models write it.
        finish_reason: why the model ended its answer.
        logprobs: the log probabilities of its tokens, if the client asked for them.
        usage: tokens of all model calls of the turn.
        contents: the generations that the turn requested, in order.
    """

    turn: TurnIdentity
    message: JsonObject
    finish_reason: str
    logprobs: JsonObject | None
    usage: Usage
    contents: Sequence[TurnContent]

    def to_json(self) -> dict[str, Any]:
        """The result as JSON, to be stored."""
        values = asdict(self)
        values["turn"]["created_at"] = self.turn.created_at.isoformat()
        return values

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """The result that `to_json` has made this JSON from."""
        return cls(
            turn=TurnIdentity.from_json(stored["turn"]),
            message=stored["message"],
            finish_reason=stored["finish_reason"],
            logprobs=stored["logprobs"],
            usage=Usage(**stored["usage"]),
            contents=[TurnContent(**content) for content in stored["contents"]],
        )
