"""Builds the loops of a worker, and opens what they use."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, NoReturn

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.api_keys.showing import forget_unshown
from app.core.concurrency import cancel_all
from app.core.crypto import random_token
from app.core.database import Database
from app.core.event_loop import measuring_lag
from app.core.settings import Settings
from app.core.span_names import SpanName
from app.core.tracing import Tracer
from app.core.watch import LOOK_SECONDS, Watch
from app.credits.alerts import watch_alerts
from app.credits.grants import grant_monthly_credits
from app.credits.service import settle_expired
from app.credits.summing import sum_up_spend
from app.fleet import reading_fleet
from app.generations.due import Work, find_work
from app.idempotency.service import forget_expired
from app.list_counts.folding import fold_list_counts
from app.mail.service import forget_old, send_due
from app.mail.smtp import open_sender
from app.queue.heartbeat import beat
from app.queue.open import open_redis
from app.queue.processes import ProcessKind, reporting
from app.queue.protocol import WakeKind, WakeQueue
from app.resources import open_resources
from app.response_runs.service import forget_events
from app.retention.policy import RetentionPolicy
from app.retention.service import prune_due
from app.traces.open import make_tracer
from worker.process.jobs import WakingWorker
from worker.process.lanes import Lanes
from worker.process.listener import listen
from worker.process.looking import Look
from worker.process.loops import Loop, Pulse, repeat
from worker.steps.adopt import GRACE
from worker.steps.open import Steps, open_steps
from worker.steps.poll import PollStep
from worker.steps.traced import belonging, traced

_SWEEP_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 10.0
_MONTHLY_GRANT_SECONDS = 300.0
_HEARTBEAT_SECONDS = 5.0
_ALERT_SECONDS = 5.0
_MAIL_SECONDS = 5.0
_COUNT_SECONDS = 5.0
_HAND_OVER_SECONDS = 15.0
# A create call that is cut off may have made a prediction, which another worker must then look for.
_LAST_STARTS_SECONDS = 5.0

# Time limits for one row: for a create call, and for the copies of all outputs of an attempt.
_START_SECONDS = 60.0
_COPY_SECONDS = 1800.0


@asynccontextmanager
async def open_loops(settings: Settings) -> AsyncIterator[list[Loop]]:
    """The loops of a worker. What they use is open during the block."""
    async with AsyncExitStack() as stack:
        resources = await stack.enter_async_context(open_resources(settings))
        tracer = make_tracer(settings, "junis-worker")
        if tracer is not None:
            await stack.enter_async_context(tracer.sending())
        steps = await stack.enter_async_context(open_steps(resources, tracer))
        pulse = Pulse()
        wakes = {kind: asyncio.Event() for kind in WakeKind} | {WakeKind.POLL: steps.poll.pace.news}
        loops = [
            *_clocks(steps, resources.database, settings, pulse),
            _poller(steps.poll, pulse),
            _looker(resources.object_watch, pulse, name="watch_objects"),
            _looker(resources.redis_watch, pulse, name="watch_redis"),
            Loop("listen", partial(listen, resources.redis, wakes, pulse, name="listen")),
        ]
        workers = {
            kind: WakingWorker(
                kind, lanes, open_redis(settings, resources.leader), wakes[kind], pulse, steps.sweep.unsent
            )
            for kind, lanes in _build_lanes(settings.worker_concurrency, resources.queue, steps, wakes, tracer).items()
        }
        stack.push_async_callback(_close, workers)
        loops += [Loop(kind.value, worker.async_run) for kind, worker in workers.items()]
        for loop in loops:
            # So that a loop which never begins counts as stalled, too.
            pulse.beat(loop.name, 0)
        await stack.enter_async_context(measuring_lag())
        if settings.worker_metrics_port:
            await stack.enter_async_context(reading_fleet(resources))
        await stack.enter_async_context(reporting(resources.redis, ProcessKind.WORKER, pulse.states))
        yield [*loops, Loop("heartbeat", partial(_beat_for_ever, resources.redis, pulse))]


def _build_lanes(
    capacity: int, queue: WakeQueue, steps: Steps, wakes: dict[WakeKind, asyncio.Event], tracer: Tracer | None
) -> dict[WakeKind, Lanes[Any]]:
    # Starts and copies have capacities of their own, so that long copies do not delay starts.
    works = (
        (WakeKind.START, steps.start, SpanName.START, _START_SECONDS),
        (WakeKind.COPY, steps.copy, SpanName.COPY, _COPY_SECONDS),
    )
    return {
        kind: Lanes(
            step.claim,
            traced(tracer, name, step.run),
            capacity,
            limit,
            partial(_send, queue, kind),
            wakes[kind],
            kind.value,
            belonging,
        )
        for kind, step, name, limit in works
    }


async def _send(queue: WakeQueue, kind: WakeKind) -> None:
    # If this fails, the sweeper sends the wake.
    with suppress(RedisError, OSError):
        await queue.send(kind)


async def _close(workers: Mapping[WakeKind, WakingWorker]) -> None:
    """Let the create calls under way end, and have copies handed over at once."""
    async with asyncio.TaskGroup() as ending:
        for kind, worker in workers.items():
            ending.create_task(_end(worker, _LAST_STARTS_SECONDS if kind is WakeKind.START else 0))


async def _end(worker: WakingWorker, seconds: float) -> None:
    if jobs := [*worker.tasks.values()]:
        await asyncio.wait(jobs, timeout=seconds)
    await cancel_all(jobs, again_after=_HAND_OVER_SECONDS)
    # While Redis is away there is nothing to tidy up in it.
    with suppress(RedisError, OSError):
        await worker.close()


def _poller(step: PollStep, pulse: Pulse) -> Loop:
    return Loop("poll", partial(repeat, step.run, pulse, name="poll", pause=step.pace.pause, wake=step.pace.news))


def _looker(watch: Watch, pulse: Pulse, *, name: str) -> Loop:
    return Loop(name, partial(repeat, watch.look, pulse, name=name, pause=LOOK_SECONDS, wake=watch.doubted))


def _clocks(steps: Steps, database: Database, settings: Settings, pulse: Pulse) -> list[Loop]:
    """What is done again and again, whether anything has happened or not."""
    sweep = steps.sweep
    repairs = {
        Work.ADOPT: steps.adopt.run,
        Work.CANCEL: steps.cancel.run,
        Work.WAKE_DUE: sweep.wake_due,
        Work.END_LATE: sweep.end_late,
        Work.FILL_CAPACITY: sweep.fill_capacity,
        Work.SEND_WEBHOOKS: steps.deliver.run,
    }
    look = Look(partial(find_work, database, silence=steps.adopt.lease + GRACE, grace=GRACE))
    usage_url = f"{settings.public_url}/admin/usage"
    alert = partial(watch_alerts, database, usage_url=usage_url, sends_mail=settings.sends_mail)
    pauses: dict[str, tuple[Callable[[], Awaitable[object]], float]] = {
        **{work.value: (look.unless_idle(work, step), _SWEEP_SECONDS) for work, step in repairs.items()},
        "remove_abandoned": (sweep.remove_abandoned, _HOUSEKEEPING_SECONDS),
        "settle_expired_holds": (partial(settle_expired, database), _HOUSEKEEPING_SECONDS),
        "forget_idempotency_keys": (partial(forget_expired, database), _HOUSEKEEPING_SECONDS),
        "forget_response_events": (partial(forget_events, database), _HOUSEKEEPING_SECONDS),
        "forget_unshown_keys": (partial(forget_unshown, database), _HOUSEKEEPING_SECONDS),
        "grant_monthly_credits": (partial(grant_monthly_credits, database), _MONTHLY_GRANT_SECONDS),
        "sum_up_spend": (partial(sum_up_spend, database), _HOUSEKEEPING_SECONDS),
        "fold_list_counts": (partial(fold_list_counts, database), _COUNT_SECONDS),
        "watch_credit_alerts": (alert, _ALERT_SECONDS),
        "forget_mails": (partial(forget_old, database), _HOUSEKEEPING_SECONDS),
        "prune": (partial(prune_due, database, RetentionPolicy.of(settings)), _HOUSEKEEPING_SECONDS),
    }
    if sender := open_sender(settings):
        pauses["send_mails"] = (partial(send_due, database, sender), _MAIL_SECONDS)
    return [Loop(name, partial(repeat, step, pulse, name=name, pause=pause)) for name, (step, pause) in pauses.items()]


async def _beat_for_ever(redis: Redis, pulse: Pulse) -> NoReturn:
    worker_id = random_token()
    while True:
        with suppress(RedisError, OSError):
            await beat(redis, worker_id, pulse.states())
        await asyncio.sleep(_HEARTBEAT_SECONDS)
