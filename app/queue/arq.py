from datetime import datetime
from functools import partial

import orjson
from arq import ArqRedis

from app.core.database import Transaction

QUEUE_NAME = "junis:jobs"
# Published at every enqueue, so that a worker need not poll for its next job.
WAKE_CHANNEL = "junis:jobs:wake"
# Published when the vendor has said that there is news of a prediction.
POLL_CHANNEL = "junis:polls:wake"

serialize = orjson.dumps
deserialize = orjson.loads


class ArqQueue:
    """The `JobQueue` on arq: JSON jobs with the id `job:content:attempt`."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    def enqueue(self, tx: Transaction, job: str, content_id: str, attempt: int) -> None:
        tx.after_commit(partial(self.send, job, content_id, attempt))

    def wake_poller(self, tx: Transaction) -> None:
        tx.after_commit(partial(self._redis.publish, POLL_CHANNEL, ""))

    async def send(self, job: str, content_id: str, attempt: int, *, due_at: datetime | None = None) -> None:
        again = f":{due_at.timestamp()}" if due_at else ""
        await self._redis.enqueue_job(
            job, content_id, attempt, _job_id=f"{job}:{content_id}:{attempt}{again}", _queue_name=QUEUE_NAME
        )
        await self._redis.publish(WAKE_CHANNEL, "")
