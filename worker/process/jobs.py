"""The worker's use of arq: a job is a wake without arguments, and does what is due."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, NoReturn

from arq import ArqRedis
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.utils import timestamp_ms
from arq.worker import Worker, func
from redis.exceptions import RedisError

from app.core.crypto import random_token
from app.core.redis_errors import explain
from app.queue.arq import deserialize, queue_of, serialize
from app.queue.protocol import WakeKind
from worker.process.lanes import Lanes
from worker.process.loops import Pulse, wait

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
# Each row has a time limit of its own. The job, which works on one row after the other, needs none.
_NO_LIMIT_SECONDS = 10**8


class WakingWorker(Worker):
    """arq's worker for the wakes of one kind. A message at every wake saves it from waiting for arq's polling interval.

    If this process could send no wake for rows that are due, because Redis is away or takes no writes, their kind is in
    `unsent`, and it looks for them as if it had been woken.

    It takes no wake while it has no free capacity, so that another process does. It removes a wake from the queue when
    it takes it: arq would lock it and leave it there, and the next wake would fold into one that is already running.
    """

    def __init__(
        self,
        kind: WakeKind,
        lanes: Lanes[Any],
        redis: ArqRedis,
        wake: asyncio.Event,
        pulse: Pulse,
        unsent: set[WakeKind],
    ) -> None:
        self._kind = kind
        self._lanes = lanes
        self._wake = wake
        self._pulse = pulse
        self._unsent = unsent
        super().__init__(
            functions=[func(self._run_lanes, name=kind, timeout=_NO_LIMIT_SECONDS, keep_result=0, max_tries=1)],
            queue_name=queue_of(kind),
            redis_pool=redis,
            handle_signals=False,
            # Each job works on at least one row, or ends at once.
            max_jobs=lanes.capacity + 1,
            queue_read_limit=1,
            # Without this, arq would keep a result for a job whose description is lost.
            keep_result=0,
            poll_delay=_POLL_SECONDS,
            job_serializer=serialize,
            job_deserializer=deserialize,
        )

    async def main(self) -> None:
        try:
            await self._take_wakes()
        finally:
            # The process is stopping: what ends from here on must not be followed by more.
            self._lanes.stop()

    async def _take_wakes(self) -> NoReturn:
        while True:
            self._pulse.beat(self._kind.value, _POLL_SECONDS)
            self._wake.clear()
            if self._kind in self._unsent and self._lanes.free > 0:
                self._unsent.discard(self._kind)
                self._look()
            self.allow_pick_jobs = self._lanes.free > 0
            try:
                await self._poll_iteration()
            except (RedisError, OSError) as error:
                # Work on rows that are already claimed goes on: it does not need Redis.
                logger.warning("queue_away", extra={"reason": explain(error, self.pool)})
            await wait(self._wake, _POLL_SECONDS)

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start these jobs, each in the one worker that removes it from the queue."""
        for raw in job_ids:
            if not await self.pool.zrem(self.queue_name, raw):
                continue
            job_id = raw.decode(errors="replace")
            self._begin(job_id, self.run_job(job_id, timestamp_ms()))

    def _look(self) -> None:
        """Do what is due without a wake."""
        name = random_token()
        self._begin(name, self._lanes.run())
        # arq itself forgets tasks only after it has read its queue, which may be away for hours.
        self.tasks[name].add_done_callback(lambda _: self.tasks.pop(name, None))

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self.job_counter += 1
        self.tasks[name] = self.loop.create_task(work)
        self.tasks[name].add_done_callback(self._on_task_done)

    async def finish_job(self, job_id: str, *_rest: Any) -> None:
        """Forget a job that has run."""
        await self._forget(job_id)

    async def finish_failed_job(self, job_id: str, _result: bytes | None) -> None:
        """Forget a job that could not run."""
        await self._forget(job_id)

    async def _forget(self, job_id: str) -> None:
        # arq would also remove it from a set of its own, which a cluster keeps on another node than the job.
        prefixes = (retry_key_prefix, in_progress_key_prefix, job_key_prefix)
        await self.pool.delete(*(prefix + job_id for prefix in prefixes))

    def _on_task_done(self, _task: asyncio.Task[None]) -> None:
        self.job_counter -= 1

    async def _run_lanes(self, ctx: dict[str, Any]) -> None:  # noqa: ARG002 - arq passes it
        await self._lanes.run()
