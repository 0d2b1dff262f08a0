from functools import partial
from pathlib import Path

import orjson
from arq import ArqRedis
from arq.constants import job_key_prefix
from arq.jobs import serialize_job
from arq.utils import timestamp_ms

from app.core.crypto import random_token
from app.core.database import Transaction
from app.queue.protocol import WakeKind

_QUEUES = "junis:wakes"

# arq writes down how a job ended although nothing is kept of it, and the end of one that was lost is an exception.
serialize = partial(orjson.dumps, default=repr)
deserialize = orjson.loads


def queue_of(kind: WakeKind) -> str:
    """The sorted set of arq's jobs of one kind: those that take long keep no other kind waiting."""
    return f"{_QUEUES}:{kind}"


def channel_of(kind: WakeKind) -> str:
    """What is published to at every wake, so that a worker need not poll for its next job of the kind."""
    return f"{_QUEUES}:{kind}:channel"


class ArqQueue:
    """The `WakeQueue` on arq: for each kind a queue that holds one job at most, without arguments.

    Nothing runs arq jobs of the kind `POLL`: every worker polls anyway, and hears the channel.
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
        # A new id each time: what arq tidies up after one job must not touch the next one.
        job_id = random_token()
        description = serialize_job(kind, (), {}, None, timestamp_ms(), serializer=serialize)
        await self._script(
            keys=[queue_of(kind), job_key_prefix + job_id],
            args=[job_id, description, self._redis.expires_extra_ms, channel_of(kind)],
        )
