"""What a turn leaves for its client, in the form of no protocol. Live responses and replays are made from it alike."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from app.chat_models.protocol import JsonObject, Usage
from app.generations.media_types import ContentType
from app.generations.states import Status


@dataclass(frozen=True)
class TurnIdentity:
    """What is known of a turn before it runs.

    `model` is the name that responses give as the model. `agent_id` is None unless the client has named the agent by
    its id.
    """

    id: str
    created_at: datetime
    model: str
    agent_id: str | None
    session_name: str

    def to_json(self) -> dict[str, Any]:
        """The identity as JSON, to be stored."""
        return {
            "id": self.id,
            "created_at": self.created_at.isoformat(),
            "model": self.model,
            "agent_id": self.agent_id,
            "session_id": self.session_name,
        }

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """The identity that is stored in a turn's result."""
        return cls(
            id=stored["id"],
            created_at=datetime.fromisoformat(stored["created_at"]),
            model=stored["model"],
            agent_id=stored["agent_id"],
            session_name=stored["session_id"],
        )


@dataclass(frozen=True)
class TurnContent:
    """A generation that the turn requested, as it was when the turn ended.

    `url` is the URL of its first output, `further_urls` are those of the others.
    """

    id: str
    status: Status
    content_type: ContentType | None
    url: str | None
    further_urls: Sequence[str] = ()

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """The content that is stored in a turn's result."""
        content_type = stored["content_type"]
        return cls(
            id=stored["id"],
            status=Status(stored["status"]),
            content_type=None if content_type is None else ContentType(content_type),
            url=stored["url"],
            further_urls=tuple(stored.get("further_urls", ())),
        )


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
        links: the end of the message's content that no model has written: what was generated. Not a delta of the turn.
        ended_at: when the turn had its answer, in seconds since 1970; None in a result of an older version.
    """

    turn: TurnIdentity
    message: JsonObject
    finish_reason: str
    logprobs: JsonObject | None
    usage: Usage
    contents: Sequence[TurnContent]
    links: str = ""
    ended_at: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The result as JSON, to be stored."""
        return {**asdict(self), "turn": self.turn.to_json()}

    @classmethod
    def from_json(cls, stored: JsonObject) -> Self:
        """The result that `to_json` has made this JSON from."""
        return cls(
            turn=TurnIdentity.from_json(stored["turn"]),
            message=stored["message"],
            finish_reason=stored["finish_reason"],
            logprobs=stored["logprobs"],
            usage=_usage(stored["usage"]),
            contents=[TurnContent.from_json(content) for content in stored["contents"]],
            links=stored.get("links", ""),
            ended_at=stored.get("ended_at"),
        )


def _usage(stored: JsonObject) -> Usage:
    # Results that were stored by an older version have no details.
    return Usage(stored["prompt_tokens"], stored["completion_tokens"], stored.get("details", {}))
