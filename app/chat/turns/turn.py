from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.agents.definition import AgentDefinition
from app.agents.runtime.context import RunContext
from app.agents.runtime.events import Finished
from app.api_keys.caller import Caller
from app.chat.turns.meter import TurnMeter
from app.chat.turns.targets import Target
from app.chat_models.protocol import JsonObject, Usage
from app.content.service import ContentWithOutputs
from app.idempotency.service import IdempotentRequest
from app.sessions.service import LeasedSession


@dataclass(frozen=True)
class OpenTurn:
    """A turn that has been admitted: its session is leased, and its first model call is paid for.

    `new_messages` are the client's; `messages` are the session's history with them at its end. `asked_at` is the
    monotonic moment of the request, which a busy session may have kept waiting.
    """

    id: str
    asked_at: float
    caller: Caller
    target: Target
    created_at: datetime
    time_limit: float
    session: LeasedSession
    agent: AgentDefinition
    new_messages: Sequence[JsonObject]
    messages: Sequence[JsonObject]
    context: RunContext
    meter: TurnMeter
    idempotent: IdempotentRequest | None

    @property
    def hold_reference(self) -> str:
        """How the credits call this turn."""
        return hold_reference(self.id)


@dataclass(frozen=True)
class TurnResult:
    """A turn that has ended well: its answer, its tokens, and what it had made."""

    answer: Finished
    usage: Usage
    contents: Sequence[ContentWithOutputs]


@dataclass(frozen=True)
class Replay:
    """The answer that the same request was given before."""

    answer: JsonObject


def hold_reference(turn_id: str) -> str:
    """How the credits call a turn."""
    return f"turn:{turn_id}"
