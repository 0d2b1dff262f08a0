"""arq's side of the worker: which jobs there are, and a loop that starts them without delay."""

import asyncio
import logging
import uuid
from contextlib import suppress
from typing import Any

from arq.utils import timestamp_ms
from arq.worker import Function, Worker, func
from redis.exceptions import RedisError

from app.generations.service import FINISH_JOB, START_JOB
from app.queue.arq import POLL_CHANNEL, deserialize, queue_of, serialize, wake_channel_of
from app.queue.heartbeat import beat
from app.queue.open import open_redis
from worker.process.lifecycle import WorkerContext
from worker.steps.copy import finish
from worker.steps.start import start

logger = logging.getLogger(__name__)

_START_SECONDS = 60
_FINISH_SECONDS = 1800
_FALLBACK_POLL_SECONDS = 0.5
_HEARTBEAT_SECONDS = 5.0
_LISTEN_SECONDS = 5.0


async def start_generation(ctx: dict[str, Any], content_id: str, attempt: int) -> None:
    """Job: have the vendor run an attempt."""
    await start(ctx["context"], uuid.UUID(content_id), attempt)


async def finish_generation(ctx: dict[str, Any], content_id: str, attempt: int) -> None:
    """Job: copy the outputs of an attempt and complete it."""
    await finish(ctx["context"], uuid.UUID(content_id), attempt)


# No result is kept: it would block the job's id.
_START = func(start_generation, name=START_JOB, timeout=_START_SECONDS, keep_result=0, max_tries=1000)
_FINISH = func(finish_generation, name=FINISH_JOB, timeout=_FINISH_SECONDS, keep_result=0, max_tries=1000)


class WakingWorker(Worker):
    """arq's worker for the jobs of one kind.

    It is woken by a message at every enqueue and by every job that ends; polling is its fallback.

    It takes its jobs out of the queue. arq locks them instead and leaves them there: what a killed worker had in hand
    would then stand at the head of the queue until the locks end, and hide what comes behind it. A job that is lost
    with its worker is sent again by the sweeper.
    """

    def __init__(self, context: WorkerContext, job: Function) -> None:
        self._wake = asyncio.Event()
        self._wake_channel = wake_channel_of(job.name)
        self._poll_wake = context.poll_wake
        concurrency = context.resources.settings.worker_concurrency
        super().__init__(
            functions=[job],
            queue_name=queue_of(job.name),
            redis_pool=open_redis(context.resources.settings),
            handle_signals=False,
            max_jobs=concurrency,
            queue_read_limit=concurrency,
            # Of a job whose description is lost, too, arq would keep a result.
            keep_result=0,
            poll_delay=_FALLBACK_POLL_SECONDS,
            job_serializer=serialize,
            job_deserializer=deserialize,
            after_job_end=self._on_job_end,
            ctx={"context": context},
        )

    async def main(self) -> None:
        companions = [asyncio.create_task(self._listen()), asyncio.create_task(self._beat())]
        try:
            while True:
                self._wake.clear()
                try:
                    await self._poll_iteration()
                except (RedisError, OSError) as error:
                    # The jobs that run go on: they need no Redis.
                    logger.warning("queue_away", extra={"reason": repr(error)})
                # Not `wait_for`: before Python 3.12 it drops a cancellation that comes together with the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.poll_delay_s):
                        await self._wake.wait()
        finally:
            for companion in companions:
                companion.cancel()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Start as many of these jobs as there are places, each in the one worker that removes it from the queue."""
        wanted = job_ids[: self.max_jobs - self.job_counter]
        async with self.pool.pipeline(transaction=False) as pipe:
            for job_id in wanted:
                pipe.zrem(self.queue_name, job_id)
            removed = await pipe.execute()
        for job_id, is_ours in zip(wanted, removed, strict=True):
            if is_ours and job_id.decode() not in self.tasks:
                self._start_job(job_id.decode())

    def _start_job(self, job_id: str) -> None:
        self.job_counter += 1
        self.tasks[job_id] = self.loop.create_task(self.run_job(job_id, timestamp_ms()))
        self.tasks[job_id].add_done_callback(self._on_task_done)

    def _on_task_done(self, _task: asyncio.Task[None]) -> None:
        self.job_counter -= 1

    async def _listen(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                async with self.pool.pubsub() as channel:
                    await channel.subscribe(self._wake_channel, POLL_CHANNEL)
                    while True:
                        message = await channel.get_message(ignore_subscribe_messages=True, timeout=_LISTEN_SECONDS)
                        if message is not None:
                            is_poll = message["channel"] == POLL_CHANNEL.encode()
                            (self._poll_wake if is_poll else self._wake).set()
            await asyncio.sleep(1)

    async def _beat(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                await beat(self.pool)
            await asyncio.sleep(_HEARTBEAT_SECONDS)

    async def _on_job_end(self, ctx: dict[str, Any]) -> None:  # noqa: ARG002 - arq names it
        self._wake.set()


async def run_starts(context: WorkerContext) -> None:
    """Run the jobs that start generations until cancelled, whether Redis is there or not."""
    await _run(WakingWorker(context, _START))


async def run_copies(context: WorkerContext) -> None:
    """Run the jobs that copy outputs, as `run_starts` does; however long they take, they keep no start waiting."""
    await _run(WakingWorker(context, _FINISH))


async def _run(worker: WakingWorker) -> None:
    try:
        await worker.async_run()
    finally:
        await worker.close()
