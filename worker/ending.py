"""The end of an attempt, and what may begin because of it."""

from decimal import Decimal

from app.catalog import service as catalog
from app.catalog.pricing import generation_cost
from app.content import transitions
from app.content.service import START_JOB
from app.content.transitions import Generation
from app.core.database import Transaction
from app.core.json import storable_text
from app.resources import Resources


async def fail(resources: Resources, generation: Generation, message: str) -> None:
    """End the attempt at no cost, with the vendor's words."""
    async with resources.database.transaction() as tx:
        await transitions.lock_organization(tx, generation.organization_id)
        await transitions.fail(tx, generation.id, generation.attempt, storable_text(message))
        await _start_next(tx, resources, generation.organization_id)


async def complete(
    resources: Resources, generation: Generation, *, content_type: str, predict_time: Decimal | None, outputs: int
) -> None:
    """Complete the attempt and charge it at the price it was accepted at, in one transaction."""
    async with resources.database.transaction() as tx:
        await transitions.lock_organization(tx, generation.organization_id)
        price = await catalog.get_price(tx, generation.price_id)
        cost = generation_cost(price, predict_time=predict_time, outputs=outputs)
        await transitions.complete(tx, generation.id, generation.attempt, content_type=content_type, cost=cost)
        await _start_next(tx, resources, generation.organization_id)


async def _start_next(tx: Transaction, resources: Resources, organization_id: str) -> None:
    """Let the organization's oldest waiting generation take the place that has become free."""
    waiting = await transitions.next_queued(tx, organization_id)
    if waiting is not None:
        resources.queue.enqueue(tx, START_JOB, str(waiting[0]), waiting[1])
