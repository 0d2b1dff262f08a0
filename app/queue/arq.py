from functools import partial
from pathlib import Path

import orjson
from arq import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms

from app.core.crypto import random_token
from app.core.database import Transaction
from app.core.redis_keys import TAG, redis_key
from app.queue.protocol import WakeKind

_QUEUES = "wakes"

# arq serializes the result of a job even if it is not kept, and the result of a job that was lost is an exception.
serialize = partial(orjson.dumps, default=repr)
deserialize = orjson.loads


def queue_of(kind: WakeKind) -> str:
    """The sorted set of arq's jobs of one kind. Each kind has its own, so that long jobs do not delay other kinds."""
    return redis_key(_QUEUES, kind)


def channel_of(kind: WakeKind) -> str:
    """The channel of one kind: every wake is published there, so that a worker need not poll for its next job."""
    return redis_key(_QUEUES, kind, "channel")


class ArqQueue:
    """The `WakeQueue` on arq: for each kind a queue that holds one job at most, without arguments.

    There are no arq jobs of the kind `POLL`: every worker polls anyway, and listens to the channel.
    """

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self._script = redis.register_script(Path(__file__).with_name("wake.lua").read_text())

    def wake(self, tx: Transaction, kind: WakeKind) -> None:
        tx.after_commit(partial(self.send, kind))

    async def send(self, kind: WakeKind) -> None:
        if kind is WakeKind.POLL:
            await self._redis.publish(channel_of(kind), "")
            return
        # A new id each time: what arq deletes after one job must not belong to the next one.
        job_id = f"{TAG}{random_token()}"
        description = serialize_job(kind, (), {}, None, timestamp_ms(), serializer=serialize)
        await self._script(
            keys=[queue_of(kind), job_key_prefix + job_id],
            args=[job_id, description, self._redis.expires_extra_ms, channel_of(kind)],
        )
