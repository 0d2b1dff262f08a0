from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from app.core.database import Transaction


class JobQueue(Protocol):
    """Wakes the worker. Postgres is the truth: a lost job is found again there, one that comes twice is harmless."""

    def enqueue(self, tx: Transaction, job: str, content_id: str, attempt: int) -> None:
        """Send the job once the transaction is committed; a failure to send is logged, not raised."""
        ...

    def wake_poller(self, tx: Transaction) -> None:
        """Have running generations looked at now, once the transaction is committed."""
        ...

    async def send(self, job: str, content_id: str, attempt: int, *, due_at: datetime | None = None) -> None:
        """Send the job now. With `due_at` it is sent again for a step that was due then, once for that moment.

        Raises:
            RedisError: Redis is away.
        """
        ...

    async def are_waiting(self, jobs: Sequence[tuple[str, str, int, datetime]]) -> list[bool]:
        """Of each job (name, content, attempt, when it was due) whether it still stands in the queue.

        Raises:
            RedisError: Redis is away.
        """
        ...
