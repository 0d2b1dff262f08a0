"""The end of an attempt, and what may begin because of it."""

from collections.abc import Sequence
from decimal import Decimal

from app.catalog import service as catalog
from app.catalog.pricing import PriceTag, generation_cost
from app.core.database import Transaction
from app.generations import transitions
from app.generations.attempts import Attempt, Generation, StoredFile
from app.generations.service import START_JOB
from app.resources import Resources
from worker.process.lifecycle import WorkerContext


async def fail(resources: Resources, attempt: Attempt, message: str) -> bool:
    """End the attempt at no cost, with the vendor's words; False where it has ended before."""
    async with resources.database.transaction() as tx:
        await transitions.lock_organization(tx, attempt.organization_id)
        is_failed = await transitions.fail(tx, attempt, message)
        if is_failed:
            await start_next(tx, resources, attempt.organization_id)
    return is_failed


async def complete(
    context: WorkerContext, generation: Generation, files: Sequence[StoredFile], *, predict_time: Decimal | None
) -> bool:
    """Complete the attempt and charge it at the price it was accepted at, in one transaction.

    Returns:
        Whether it is completed by this; see `transitions.complete`.
    """
    async with context.resources.database.transaction() as tx:
        price = await _price(context, tx, generation.price_id)
        cost = generation_cost(price, predict_time=predict_time, outputs=len(files))
        await transitions.lock_organization(tx, generation.organization_id)
        is_completed = await transitions.complete(tx, generation, files, cost)
        if is_completed:
            await start_next(tx, context.resources, generation.organization_id)
    return is_completed


async def start_next(tx: Transaction, resources: Resources, organization_id: str, places: int = 1) -> None:
    """Let the organization's oldest waiting generations take the places that have become free."""
    for content_id, attempt in await transitions.next_queued(tx, organization_id, places):
        resources.queue.enqueue(tx, START_JOB, str(content_id), attempt)


async def _price(context: WorkerContext, tx: Transaction, price_id: int) -> PriceTag:
    # Prices are added, never edited: one that is known needs no second look.
    if price_id not in context.prices:
        context.prices[price_id] = await catalog.get_price(tx, price_id)
    return context.prices[price_id]
