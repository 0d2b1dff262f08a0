"""What makes a turn outlast its client and its process: it is written where other processes find it."""

from typing import Protocol

from app.chat.turns.result import TurnIdentity, TurnResult
from app.core.database import Transaction
from app.core.errors import AppError
from app.sessions.lease import LeasedSession


class LastingTurn(Protocol):
    """A turn that others take over if this process stops renewing its lease.

    It is locked before anything else in each transaction of its turn.

    Attributes:
        former_turn: the id of the turn of the attempt before, in whose favour nothing is charged; None for the first.
        is_handed_on: whether another process is to begin again, because this one is stopping.
    """

    former_turn: str | None
    is_handed_on: bool

    def request_key(self, turn_id: str) -> bytes:
        """What identifies it to whatever its turn asks for: the same for the turn of each attempt."""
        ...

    async def begin(self, tx: Transaction) -> None:
        """Make sure, in the transaction that admits the turn, that it is still to run.

        Raises:
            LostTurnError: it is not.
        """
        ...

    async def admitted(self, tx: Transaction, turn: TurnIdentity, session: LeasedSession) -> str:
        """Write it down, in the transaction that admits the turn. Returns the id that its client knows it by."""
        ...

    async def flush(self) -> None:
        """Store what has been said, once the model has ended."""
        ...

    async def is_live(self, tx: Transaction) -> bool:
        """Whether it is still this process's, and nobody has cancelled it. It is locked then."""
        ...

    async def answered(self, tx: Transaction, result: TurnResult) -> None:
        """Write down that it has ended with a result, which is kept if it is live."""
        ...

    async def failed(self, tx: Transaction, error: AppError) -> None:
        """Write down that it has ended without a result."""
        ...

    def stop(self) -> None:
        """This process is stopping: leave it to another one, if its client has seen nothing of it."""
        ...

    async def hand_on(self) -> None:
        """Leave it to another process."""
        ...


class LostTurnError(Exception):
    """Another process has the turn, or nobody wants it any more. Nothing is stored."""


class AcceptedBeforeError(Exception):
    """The same request has been accepted before, as what has this id."""

    def __init__(self, accepted_id: str) -> None:
        super().__init__(accepted_id)
        self.accepted_id = accepted_id


# Under an Idempotency-Key: what the request was accepted as.
ACCEPTED = "accepted"
