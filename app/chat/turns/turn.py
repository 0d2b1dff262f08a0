from collections.abc import Sequence
from dataclasses import dataclass

from app.agents.runtime.agent_run import AgentRun, PreparedRun
from app.agents.runtime.runner import AgentRunner
from app.chat.turns.meter import TurnMeter
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnIdentity
from app.core.attribution import Attribution
from app.credits.references import turn_reference
from app.sessions.lease import LeasedSession
from app.sessions.messages import WireMessage


@dataclass(frozen=True)
class AdmittedTurn:
    """A turn whose session is leased, and for whose first model call credits are held.

    Attributes:
        identity: what responses say of it.
        request: what the client asked for.
        asked_at: the monotonic time of the request. It may have waited for a busy session since.
        time_limit: seconds that the turn may take.
        hold_expires_at: the monotonic time when its hold expires, at the earliest.
        attribution: for whom and by what it runs.
        session: its session.
        asked: what is stored of the client's messages.
        superseded: the ids of the session's messages that they replace.
        prepared: the run of its agent on the session's history and the client's new messages.
        runner: runs the agent, and the agents below it.
        meter: meters the model calls.
        generations: the models that its tools have asked for a generation so far.
    """

    identity: TurnIdentity
    request: TurnRequest
    asked_at: float
    time_limit: float
    hold_expires_at: float
    attribution: Attribution
    session: LeasedSession
    asked: Sequence[WireMessage]
    superseded: Sequence[int]
    prepared: PreparedRun
    runner: AgentRunner
    meter: TurnMeter
    generations: Sequence[str]

    @property
    def id(self) -> str:
        return self.identity.id

    @property
    def run(self) -> AgentRun:
        return self.prepared.run


def hold_reference(turn_id: str) -> str:
    """The reference of the turn's credit hold."""
    return turn_reference(turn_id)
