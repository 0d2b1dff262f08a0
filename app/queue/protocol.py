from enum import StrEnum
from typing import Protocol

from app.core.database import Transaction


class WakeKind(StrEnum):
    """What a worker is woken for."""

    START = "start"
    POLL = "poll"
    COPY = "copy"


class WakeQueue(Protocol):
    """Tells workers that rows are due. The rows are the queue: a wake that is lost costs a poll interval."""

    def wake(self, tx: Transaction, kind: WakeKind) -> None:
        """Wake the workers once the transaction is committed; a failure to do so is logged, not raised."""
        ...

    async def send(self, kind: WakeKind) -> None:
        """Wake the workers now. A wake folds into one of the same kind that no worker has taken yet.

        Raises:
            RedisError: Redis is away.
        """
        ...
