"""From an outcome to verified files in the store, charged in the same transaction that completes the content."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

from app.content import transitions
from app.content.media_types import MediaType
from app.content.transitions import Generation
from app.core.backoff import backoff
from app.core.errors import AppError
from app.storage.protocol import StoreError
from worker.downloads import DownloadInterruptedError, DownloadRefusedError
from worker.ending import complete, fail
from worker.lifecycle import WorkerContext
from worker.outputs import copy_output
from worker.sources import sources_of

logger = logging.getLogger(__name__)

_LEASE = timedelta(seconds=60)
_RENEW_SECONDS = 20


async def finish(context: WorkerContext, content_id: uuid.UUID, attempt: int) -> None:
    """Copy the outputs of an attempt and complete it. What was interrupted is tried again until the deadline."""
    database = context.resources.database
    async with database.transaction() as tx:
        generation = await transitions.claim_finish(tx, content_id, attempt, _LEASE)
    if generation is None:
        return
    try:
        async with _lease(context, generation):
            media = await _copy_all(context, generation)
            await _complete(context, generation, media)
    except DownloadRefusedError as error:
        await fail(context.resources, generation, f"The output could not be copied: {error}")
    except (DownloadInterruptedError, StoreError) as error:
        logger.warning("copy_interrupted", extra={"content_id": str(content_id), "reason": str(error)})
        wait = backoff(generation.setbacks, first=1, longest=60)
        await _hand_over(context, generation, wait, is_setback=True)
    except asyncio.CancelledError:
        # The worker is shutting down: another one may go on at once.
        await _hand_over(context, generation, timedelta(0))
        raise


async def _copy_all(context: WorkerContext, generation: Generation) -> list[MediaType]:
    assert generation.outcome is not None  # noqa: S101 - what `claim_finish` selects
    sources = sources_of(generation.outcome["output"])
    return [await copy_output(context, generation, position, source) for position, source in enumerate(sources)]


async def _complete(context: WorkerContext, generation: Generation, media: list[MediaType]) -> None:
    assert generation.outcome is not None  # noqa: S101 - what `claim_finish` selects
    predict_time = generation.outcome["predict_time"]
    await complete(
        context.resources,
        generation,
        content_type=media[0].content_type,
        predict_time=None if predict_time is None else Decimal(predict_time),
        outputs=len(media),
    )


async def _hand_over(
    context: WorkerContext, generation: Generation, wait: timedelta, *, is_setback: bool = False
) -> None:
    async with context.resources.database.transaction() as tx:
        await transitions.renew(tx, generation.id, generation.attempt, wait, is_setback=is_setback)


@asynccontextmanager
async def _lease(context: WorkerContext, generation: Generation) -> AsyncIterator[None]:
    """Renew the lease while the block runs."""
    renewing = asyncio.create_task(_renew(context, generation))
    try:
        yield
    finally:
        renewing.cancel()


async def _renew(context: WorkerContext, generation: Generation) -> None:
    while True:
        await asyncio.sleep(_RENEW_SECONDS)
        try:
            await _hand_over(context, generation, _LEASE)
        except AppError as error:
            logger.warning("lease_not_renewed", extra={"content_id": str(generation.id), "reason": error.text})
