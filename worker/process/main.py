import asyncio
import signal

from app.core.settings import Settings
from worker.process.jobs import run_copies, run_starts
from worker.process.lifecycle import open_worker
from worker.process.loops import repeat
from worker.steps.adopt import adopt_orphans
from worker.steps.poll import poll
from worker.steps.sweep import (
    fill_places,
    forget_idempotency_keys,
    grant_credits_of_the_month,
    remove_abandoned,
    sweep,
    void_expired_holds,
)

_SWEEP_SECONDS = 1.0
_HOUSEKEEPING_SECONDS = 10.0
_MONTHLY_GRANT_SECONDS = 300.0


async def run(settings: Settings) -> None:
    """Run jobs and clocks until SIGTERM or SIGINT; what is cut short then is taken up again by another worker."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, stopping.set)
    async with open_worker(settings) as context:
        clocks = [
            repeat(run_starts, context, pause=1.0),
            repeat(run_copies, context, pause=1.0),
            repeat(poll, context, pause=settings.poll_interval_seconds / 2, wake=context.poll_wake),
            repeat(sweep, context, pause=_SWEEP_SECONDS),
            repeat(fill_places, context, pause=_SWEEP_SECONDS),
            repeat(adopt_orphans, context, pause=_SWEEP_SECONDS),
            repeat(remove_abandoned, context, pause=_HOUSEKEEPING_SECONDS),
            repeat(void_expired_holds, context, pause=_HOUSEKEEPING_SECONDS),
            repeat(grant_credits_of_the_month, context, pause=_MONTHLY_GRANT_SECONDS),
            repeat(forget_idempotency_keys, context, pause=_HOUSEKEEPING_SECONDS),
        ]
        tasks = [asyncio.create_task(clock) for clock in clocks]
        await stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
