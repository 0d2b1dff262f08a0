from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Self

from app.api_keys.caller import Caller
from app.chat.turns.lasting import LastingTurn
from app.chat.turns.result import TurnResult
from app.chat.turns.targets import Target
from app.chat_models.protocol import JsonObject
from app.credits.max_credits import lesser
from app.idempotency.service import IdempotentRequest
from app.kept_responses.keeping import Keeping
from app.sessions.lease import PastTurn


@dataclass(frozen=True)
class TurnOwner:
    """For whom a turn runs.

    Attributes:
        organization_id: who pays.
        user_id: whose sessions it continues.
        api_key_id: the key that the request was sent with; None if the user asks in the console.
    """

    organization_id: str
    user_id: str
    api_key_id: str | None

    @classmethod
    def of(cls, caller: Caller) -> Self:
        """The owner of the turns that are asked for with a key: the user who created it."""
        return cls(caller.organization_id, caller.user_id, caller.key_id)


@dataclass(frozen=True)
class TurnRequest:
    """What a client asks of a turn, whichever protocol it speaks.

    Attributes:
        owner: for whom it runs.
        target: the agent that is asked.
        messages: the client's new messages, in the form in which chat models read them.
        client_tools: tools that the client runs itself.
        parameters: parameters for the model calls, such as `temperature`.
        is_streamed: whether the client wants the answer as it arrives.
        session_name: the name of a session that must exist.
        conversation_name: the client's own name for a session, which is created if it does not exist.
        idempotent: the request as one that is to run once, if it has an Idempotency-Key.
        instructions: what the model is told for this turn only. It is not kept.
        past: the turn that this one goes on from, whatever was said since.
        is_unkept: whether no session and no message is kept of it.
        keeping: makes what is kept of its result besides its messages, if anything is.
        is_stopped_by_leaving: whether the turn ends when its client leaves although it is to run once. Its key is free
            again then.
        max_credits: the most credits that it may cost with its generations; None if it has no limit.
        lasting: makes it outlast its client and its process, if it does.
    """

    owner: TurnOwner
    target: Target
    messages: Sequence[JsonObject]
    client_tools: Sequence[JsonObject]
    parameters: JsonObject
    is_streamed: bool
    session_name: str | None
    conversation_name: str | None
    idempotent: IdempotentRequest | None
    instructions: str | None = None
    past: PastTurn | None = None
    is_unkept: bool = False
    keeping: Callable[[TurnResult], Keeping] | None = None
    is_stopped_by_leaving: bool = False
    max_credits: Decimal | None = None
    lasting: LastingTurn | None = None

    def within(self, max_credits: Decimal | None) -> Self:
        """The request if it may not cost more than that either."""
        return replace(self, max_credits=lesser(self.max_credits, max_credits))

    @property
    def outlives_client(self) -> bool:
        """Whether the turn goes on after its client has left, who may ask for its result later."""
        return self.lasting is not None or (self.idempotent is not None and not self.is_stopped_by_leaving)
