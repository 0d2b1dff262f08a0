"""Requests for generations. The worker's part of their life is in other modules of this package."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Self

from app.catalog import service as catalog
from app.catalog.pricing import generation_ceiling
from app.catalog.service import PricedModel
from app.core.attribution import Attribution
from app.core.database import Transaction
from app.core.settings import Settings
from app.core.tracing import span_var
from app.credits import service as credits
from app.credits.counting import count_hold, count_refusal
from app.credits.errors import InsufficientCreditsError
from app.credits.models import EventKind
from app.credits.references import generation_reference
from app.credits.request_budget import Budget
from app.generations import attempt_history, repository
from app.generations.models import Generation
from app.idempotency import service as idempotency
from app.queue.protocol import WakeKind, WakeQueue


@dataclass(frozen=True)
class GenerationPolicy:
    """What the operator allows each generation: time from request to failure, and retries by the client."""

    deadline: timedelta
    max_retries: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The policy that the settings describe."""
        return cls(timedelta(seconds=settings.generation_deadline_seconds), settings.generation_max_retries)


@dataclass(frozen=True)
class GenerationRequest:
    """What an agent asks to be generated, and for whom.

    `request_key` identifies the client's request if it carries an Idempotency-Key. `attribution` is that of the turn.
    `budget` is what the request may still cost; None if it has no limit.
    """

    organization_id: str
    user_id: str
    session_id: uuid.UUID | None
    turn_id: str | None
    model: str
    input: Mapping[str, Any]
    request_key: bytes | None = None
    attribution: Attribution | None = None
    budget: Budget | None = None


def hold_reference(generation_id: uuid.UUID, attempt: int) -> str:
    """The reference of the credit hold for one attempt of a generation."""
    return generation_reference(generation_id, attempt)


async def request_generation(
    tx: Transaction, queue: WakeQueue, policy: GenerationPolicy, request: GenerationRequest
) -> Generation:
    """Accept a generation: hold the most it can cost, insert its row, wake a worker after the commit.

    If an earlier turn of the same request asked for the same and crashed, its generation is adopted instead.

    Raises:
        UnknownModelError, ModelNotPricedError: the catalog does not offer the model.
        InsufficientCreditsError: the organization cannot pay the ceiling.
        MaxCreditsReachedError: the ceiling is more than the request may still cost.
    """
    if adopted := await _adopt(tx, request):
        if request.budget is not None:
            reference = hold_reference(adopted.id, adopted.retry_count)
            await request.budget.adopt(tx, request.organization_id, reference)
        return adopted
    model = await catalog.get_generation_model(tx, request.model)
    content = _pending(
        policy.max_retries, request, model, is_parked=await repository.is_full(tx, request.organization_id)
    )
    attribution = _attribution_of(request)
    await _hold(tx, content, 0, model, attribution, request.budget)
    await repository.add(tx, content, policy.deadline)
    await attempt_history.add(tx, content.id, 0, attribution)
    _wake(tx, queue, content)
    return content


async def retry(
    tx: Transaction,
    queue: WakeQueue,
    policy: GenerationPolicy,
    content: Generation,
    attribution: Attribution,
    budget: Budget | None = None,
) -> bool:
    """Make a failed generation pending again, with its original parameters and at today's price.

    `attribution` says by whom the retry is requested; its model is the generation's. `budget` is what that may cost.

    Returns:
        False if it is no longer failed: another request has retried it.

    Raises:
        InsufficientCreditsError: the organization cannot pay the ceiling.
        MaxCreditsReachedError: the ceiling is more than the request may cost.
    """
    is_parked = await repository.is_full(tx, content.organization_id)
    await attempt_history.record(tx, content.id, content.retry_count)
    attempt = await repository.retry(
        tx, content.organization_id, content.id, content.retry_count, policy.deadline, is_parked=is_parked
    )
    await repository.refresh(tx, content)
    if attempt is None:
        return False
    model = await catalog.get_generation_model(tx, content.model)
    content.price_id = model.price.id
    await _hold(tx, content, attempt, model, attribution, budget)
    await attempt_history.add(tx, content.id, attempt, attribution)
    _wake(tx, queue, content)
    return True


async def _hold(
    tx: Transaction,
    content: Generation,
    attempt: int,
    model: PricedModel,
    attribution: Attribution,
    budget: Budget | None,
) -> None:
    amount = generation_ceiling(model.price)
    reference = hold_reference(content.id, attempt)
    most = None if budget is None else amount
    try:
        if budget is not None:
            await budget.take(tx, amount)
        await credits.hold(tx, attribution, reference=reference, amount=amount, expires_in=None, most=most)
    except InsufficientCreditsError:
        count_refusal(EventKind.GENERATION)
        raise

    async def count() -> None:
        count_hold(EventKind.GENERATION, model.name, amount)

    tx.after_commit(count)


def _attribution_of(request: GenerationRequest) -> Attribution:
    """That of the turn, with the generation's model instead of the agent's."""
    of_turn = request.attribution or Attribution(
        organization_id=request.organization_id,
        user_id=request.user_id,
        session_id=request.session_id,
        turn_id=request.turn_id,
    )
    # What is done for it later is within what asks for it now.
    span = span_var.get()
    return replace(of_turn, model=request.model, traceparent=span.traceparent if span else of_turn.traceparent)


def _wake(tx: Transaction, queue: WakeQueue, content: Generation) -> None:
    # A parked generation starts when another one of its organization ends.
    if not content.is_parked:
        queue.wake(tx, WakeKind.START)


def _pending(max_retries: int, request: GenerationRequest, model: PricedModel, *, is_parked: bool) -> Generation:
    return Generation(
        id=uuid.uuid4(),
        organization_id=request.organization_id,
        user_id=request.user_id,
        session_id=request.session_id,
        turn_id=request.turn_id,
        request_key=request.request_key,
        model=request.model,
        input=dict(request.input),
        prompt=_prompt_of(request.input),
        price_id=model.price.id,
        max_retries=max_retries,
        is_parked=is_parked,
    )


async def _adopt(tx: Transaction, request: GenerationRequest) -> Generation | None:
    """The generation that a crashed turn of the same request asked for, moved to this turn."""
    if request.request_key is None:
        return None
    content = await repository.find_lost(
        tx,
        request.user_id,
        request.request_key,
        request.turn_id,
        request.model,
        request.input,
        idempotency.LIFETIME,
    )
    if content is not None:
        content.session_id, content.turn_id = request.session_id, request.turn_id
        await tx.session.flush()
    return content


def _prompt_of(values: Mapping[str, Any]) -> str:
    """The text of the input, under whichever name the model gives it."""
    for name in ("prompt", "text", "input"):
        value = values.get(name)
        if isinstance(value, str):
            return value
    return ""
