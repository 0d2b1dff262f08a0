from collections.abc import Sequence
from dataclasses import dataclass

from app.agents.definition import AgentDefinition
from app.agents.runtime.context import RunContext
from app.chat.turns.meter import TurnMeter
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnIdentity
from app.chat_models.protocol import JsonObject
from app.sessions.lease import LeasedSession


@dataclass(frozen=True)
class OpenTurn:
    """A turn that has been admitted: its session is leased, and credits are held for its first model call.

    Attributes:
        identity: what responses say of it.
        request: what the client asked for.
        asked_at: the monotonic time of the request. It may have waited for a busy session since.
        time_limit: seconds that the turn may take.
        session: its session.
        agent: the agent that runs.
        messages: what the agent sees: the session's history and the client's new messages.
        first_body: the body of the first model call; None if it depends on the agents below.
        context: what the agents use.
        meter: counts what the model calls cost.
    """

    identity: TurnIdentity
    request: TurnRequest
    asked_at: float
    time_limit: float
    session: LeasedSession
    agent: AgentDefinition
    messages: Sequence[JsonObject]
    first_body: JsonObject | None
    context: RunContext
    meter: TurnMeter

    @property
    def id(self) -> str:
        return self.identity.id


def hold_reference(turn_id: str) -> str:
    """The reference of the turn's credit hold."""
    return f"turn:{turn_id}"
