from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Self

from app.agents.runtime.agent_run import Said
from app.agents.runtime.events import Finished
from app.chat.turns.lasting import LastingTurn
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat.turns.turn import AdmittedTurn
from app.chat_models.protocol import Usage
from app.core.clock import now
from app.core.errors import AppError
from app.credits.metering import MeteredUse
from app.idempotency.service import IdempotentRequest
from app.kept_responses.keeping import Keeping
from app.sessions.lease import LeasedSession


@dataclass(frozen=True)
class TurnEnding:
    """How a turn has ended: all that is to be written of it, and nothing else, as it may have to wait for Postgres.

    Attributes:
        turn: the turn.
        organization_id: who pays.
        agent: the name of the turn's agent.
        user_id: whose session it is.
        session: the turn's session.
        idempotent: its claim on an Idempotency-Key, if it has one.
        hold_expires_at: the monotonic time when its hold expires, at the earliest.
        uses: what each of its model calls has used.
        usage: the tokens of all of them.
        messages: what is stored in the session, each message with the name of the agent that wrote it.
        superseded: the ids of the session's messages that these replace.
        answer: its answer; None if it ended without one.
        is_fault: whether something went wrong. False if it has an answer, and if the client hung up.
        has_generations: whether its tools have asked for a generation.
        ended_at: when it has ended.
        keeping: makes what is kept of its result besides its messages, if anything is.
        lasting: what makes it outlast its process, if it does.
        error: why it has no answer, as far as that is known.
    """

    turn: TurnIdentity
    organization_id: str
    agent: str
    user_id: str
    session: LeasedSession
    idempotent: IdempotentRequest | None
    hold_expires_at: float
    uses: Sequence[MeteredUse]
    usage: Usage
    messages: Sequence[Said]
    superseded: Sequence[int]
    answer: Finished | None
    is_fault: bool
    has_generations: bool
    ended_at: datetime
    keeping: Callable[[TurnResult], Keeping] | None
    lasting: LastingTurn | None = None
    error: AppError | None = None

    @classmethod
    def answered(cls, turn: AdmittedTurn, answer: Finished) -> Self:
        """The end of a turn that has its answer."""
        return cls._of(turn, turn.run.transcript, answer, is_fault=False)

    @classmethod
    def cut_short(cls, turn: AdmittedTurn, error: BaseException, *, is_fault: bool) -> Self:
        """The end of a turn without an answer. What was said until then is kept, as its model calls are charged."""
        ended = cls._of(turn, turn.run.everything_said(), None, is_fault=is_fault)
        return replace(ended, error=error if isinstance(error, AppError) else None)

    @classmethod
    def _of(cls, turn: AdmittedTurn, said: Sequence[Said], answer: Finished | None, *, is_fault: bool) -> Self:
        # If a turn fails before anything was said, the client's messages are not stored. The client will send them
        # again, and messages that the provider rejects would make every later turn fail.
        is_kept = turn.session.is_stored and (bool(said) or not is_fault)
        asked: list[Said] = [(None, dict(each)) for each in turn.asked] if is_kept else []
        return cls(
            turn=turn.identity,
            organization_id=turn.request.owner.organization_id,
            agent=turn.run.agent.name,
            user_id=turn.request.owner.user_id,
            session=turn.session,
            idempotent=turn.request.idempotent,
            hold_expires_at=turn.hold_expires_at,
            uses=turn.meter.uses,
            usage=turn.meter.usage,
            messages=[*asked, *said] if is_kept else [],
            superseded=turn.superseded if is_kept else (),
            answer=answer,
            is_fault=is_fault,
            has_generations=bool(turn.generations),
            ended_at=now(),
            keeping=turn.request.keeping,
            lasting=turn.request.lasting,
        )

    @property
    def cost(self) -> Decimal:
        """What the turn costs, in credits."""
        return sum((use.cost for use in self.uses), Decimal(0))

    @property
    def is_alone(self) -> bool:
        """Whether it concerns nothing but its session, its hold and its Idempotency-Key."""
        return not self.superseded and not self.has_generations and self.lasting is None

    def without_answer(self) -> Self:
        """The end of the same turn if its answer cannot be stored."""
        return replace(self, answer=None, is_fault=True)
