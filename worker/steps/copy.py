"""From an outcome to verified files in the store, charged in the same transaction that completes the content."""

import asyncio
import logging
import uuid
from collections.abc import Coroutine
from datetime import timedelta
from decimal import Decimal

from app.core.backoff import backoff
from app.core.errors import AppError
from app.generations import transitions
from app.generations.attempts import Generation
from app.generations.outputs import Reserved
from app.storage.protocol import StoreError
from worker.process.lifecycle import WorkerContext
from worker.steps.end import complete, fail
from worker.transfer.copying import AttemptLostError, copy_output, remove_strays
from worker.transfer.downloads import DownloadInterruptedError, DownloadRefusedError
from worker.transfer.sources import sources_of

logger = logging.getLogger(__name__)

_RENEWALS_PER_LEASE = 3
_MOST_OUTPUTS = 1000


async def finish(context: WorkerContext, content_id: uuid.UUID, attempt: int) -> None:
    """Copy the outputs of an attempt and complete it. What was interrupted is tried again until the deadline.

    A copy that runs at the deadline goes on until the sweeper ends the attempt, `COPY_GRACE` later.
    """
    async with context.resources.database.transaction() as tx:
        generation = await transitions.claim_finish(tx, content_id, attempt, context.lease)
    if generation is None:
        return
    touched: list[Reserved] = []
    is_completed = False
    try:
        is_completed = await _while_leased(context, generation, _copy(context, generation, touched))
    except DownloadRefusedError as error:
        await fail(context.resources, generation, f"The output could not be copied: {error}")
    except AttemptLostError as error:
        # Its lease is another worker's now, or it has ended.
        logger.warning("copy_left", extra={"content_id": str(content_id), "reason": str(error)})
    except (DownloadInterruptedError, StoreError) as error:
        logger.warning("copy_interrupted", extra={"content_id": str(content_id), "reason": str(error)})
        wait = backoff(generation.setbacks, first=1, longest=60)
        await _hand_over(context, generation, wait, is_setback=True)
    except asyncio.CancelledError:
        # The worker is shutting down: another one may go on at once.
        await _hand_over(context, generation, timedelta(0))
        raise
    finally:
        if not is_completed:
            await remove_strays(context.resources, touched)


async def _copy(context: WorkerContext, generation: Generation, touched: list[Reserved]) -> bool:
    assert generation.outcome is not None  # noqa: S101 - what `claim_finish` selects
    sources = sources_of(generation.outcome["output"], context.resources.settings.output_hosts)
    if len(sources) > _MOST_OUTPUTS:
        raise DownloadRefusedError(f"the prediction has {len(sources)} outputs")
    files = [
        await copy_output(context, generation, position, source, touched) for position, source in enumerate(sources)
    ]
    predict_time = generation.outcome["predict_time"]
    seconds = None if predict_time is None else Decimal(predict_time)
    return await complete(context, generation, files, predict_time=seconds)


async def _hand_over(
    context: WorkerContext, generation: Generation, wait: timedelta, *, is_setback: bool = False
) -> None:
    async with context.resources.database.transaction() as tx:
        await transitions.hand_over(tx, generation, wait, is_setback=is_setback)


async def _while_leased(context: WorkerContext, generation: Generation, work: Coroutine[None, None, bool]) -> bool:
    """Do the work and renew the lease meanwhile.

    Raises:
        AttemptLostError: the attempt has moved on, so that the work was broken off.
    """
    working = asyncio.create_task(work)
    renewing = asyncio.create_task(_renew(context, generation))
    try:
        await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        raise AttemptLostError("the attempt has moved on")
    finally:
        working.cancel()
        renewing.cancel()
        await asyncio.gather(working, renewing, return_exceptions=True)


async def _renew(context: WorkerContext, generation: Generation) -> None:
    """Renew the lease until the attempt has moved on."""
    is_ours = True
    while is_ours:
        await asyncio.sleep(context.lease.total_seconds() / _RENEWALS_PER_LEASE)
        try:
            async with context.resources.database.transaction() as tx:
                is_ours = await transitions.renew(tx, generation.id, generation.attempt, context.lease)
        except AppError as error:
            logger.warning("lease_not_renewed", extra={"content_id": str(generation.id), "reason": error.text})
