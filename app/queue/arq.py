from collections.abc import Sequence
from datetime import datetime
from functools import partial

import orjson
from arq import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms

from app.core.database import Transaction

_QUEUES = "junis:jobs"
# Published when the vendor has said that there is news of a prediction.
POLL_CHANNEL = "junis:polls:wake"

# arq writes down how a job ended though nothing is kept of it, and the end of one that was lost is an exception.
serialize = partial(orjson.dumps, default=repr)
deserialize = orjson.loads


def queue_of(job: str) -> str:
    """The queue of the jobs of one kind: those that take long keep no other kind waiting."""
    return f"{_QUEUES}:{job}"


def wake_channel_of(job: str) -> str:
    """What is published to at every enqueue, so that a worker need not poll for its next job of the kind."""
    return f"{queue_of(job)}:wake"


class ArqQueue:
    """The `JobQueue` on arq: JSON jobs with the id `job:content:attempt`, a queue for each kind."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis

    def enqueue(self, tx: Transaction, job: str, content_id: str, attempt: int) -> None:
        tx.after_commit(partial(self.send, job, content_id, attempt))

    def wake_poller(self, tx: Transaction) -> None:
        tx.after_commit(partial(self._redis.publish, POLL_CHANNEL, ""))

    async def send(self, job: str, content_id: str, attempt: int, *, due_at: datetime | None = None) -> None:
        job_id = _job_id(job, content_id, attempt, due_at)
        now = timestamp_ms()
        description = serialize_job(job, (content_id, attempt), {}, None, now, serializer=serialize)
        # In one round trip, and not by arq's `enqueue_job`: that takes the description of a job which a killed worker
        # had in hand, and which stays for a day, for a job that still waits.
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.psetex(job_key_prefix + job_id, self._redis.expires_extra_ms, description)
            pipe.zadd(queue_of(job), {job_id: now}, nx=True)
            pipe.publish(wake_channel_of(job), "")
            await pipe.execute()

    async def are_waiting(self, jobs: Sequence[tuple[str, str, int, datetime]]) -> list[bool]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for job, content_id, attempt, due_at in jobs:
                ids = [_job_id(job, content_id, attempt, moment) for moment in (None, due_at)]
                pipe.zmscore(queue_of(job), ids)
            return [any(score is not None for score in scores) for scores in await pipe.execute()]


def _job_id(job: str, content_id: str, attempt: int, due_at: datetime | None) -> str:
    again = f":{due_at.timestamp()}" if due_at else ""
    return f"{job}:{content_id}:{attempt}{again}"
