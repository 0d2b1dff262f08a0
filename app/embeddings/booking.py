"""The two transactions of a request for embeddings: what it may cost is held, then what it has used is charged."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from time import monotonic
from typing import Final

from app.catalog import service as catalog
from app.catalog.pricing import chat_ceiling, chat_cost
from app.catalog.service import PricedModel
from app.core.attribution import Attribution
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.core.request_context import request_id_var, traceparent_var
from app.credits import service as credits
from app.credits.counting import count_hold, count_refusal
from app.credits.errors import InsufficientCreditsError, MaxCreditsReachedError
from app.credits.metering import MeteredUse
from app.credits.models import EventKind
from app.credits.references import embeddings_reference
from app.embeddings.asked import EmbeddingsRequestOf, EmbeddingsResult
from app.idempotency import service as idempotency
from app.idempotency.claim import Claim

# If a hold still exists so long after the time limit of its call, the call's process has crashed.
_HOLD_MARGIN_SECONDS = 60.0
# Of vectors. A larger result is not stored for repetitions: the request may be repeated, and is charged again then.
_MOST_STORED_BYTES: Final = 1024 * 1024


@dataclass(frozen=True)
class OpenedCall:
    """A call of an embedding model for which credits are held.

    Attributes:
        request: what was asked for.
        model: the model, with the price that holds for the call.
        reference: of the hold.
        held: credits.
        began_at: a moment of the monotonic clock.
        expires_at: a moment of the monotonic clock, before which the hold does not expire.
    """

    request: EmbeddingsRequestOf
    model: PricedModel
    reference: str
    held: Decimal
    began_at: float
    expires_at: float

    def use(self, tokens: int | None, *, is_estimated: bool = False) -> MeteredUse:
        """What the call has used: so many tokens, or None if it was free."""
        cost = Decimal(0)
        if tokens is not None:
            cost = chat_cost(self.model.price, prompt_tokens=tokens, completion_tokens=0)
        return MeteredUse(
            call_id=f"{self.reference}:1",
            kind=EventKind.MODEL_CALL,
            agent=None,
            model=self.model.name,
            price_id=self.model.price.id,
            cost=cost,
            is_estimated=is_estimated,
            prompt_tokens=tokens,
            completion_tokens=None if tokens is None else 0,
            began_at=self.began_at,
            ended_at=monotonic(),
        )


async def open_call(
    database: Database, request: EmbeddingsRequestOf, time_limit: float
) -> OpenedCall | EmbeddingsResult:
    """Hold the most that the call can cost, and claim the request's Idempotency-Key.

    Returns:
        The call, or the stored result if the request has run before.

    Raises:
        UnknownModelError, ModelNotPricedError, InsufficientCreditsError, MaxCreditsReachedError,
        IdempotencyKeyInProgressError, IdempotencyKeyReusedError: nothing is held.
    """
    reference = embeddings_reference(new_id("emb"))
    async with database.transaction() as tx:
        former = None
        if request.idempotent:
            claimed = await idempotency.claim(tx, request.idempotent, hold_reference=reference)
            if not isinstance(claimed, Claim):
                return EmbeddingsResult.from_json(claimed)
            former = claimed.former_hold_reference
        model = await catalog.get_embedding_model(tx, request.model)
        tokens = request.inputs.most_tokens(request.parameters, model.context_tokens)
        amount = chat_ceiling(model.price, prompt_tokens=tokens, completion_tokens=0)
        if request.max_credits is not None and amount > request.max_credits:
            raise MaxCreditsReachedError
        await _hold(tx, request, reference, amount, former, time_limit)
    count_hold(EventKind.MODEL_CALL, model.name, amount)
    now = monotonic()
    return OpenedCall(request, model, reference, amount, now, now + time_limit + _HOLD_MARGIN_SECONDS)


async def close_call(database: Database, call: OpenedCall, use: MeteredUse, result: EmbeddingsResult | None) -> None:
    """Charge what the call has used, and store its result for repetitions, unless it has failed or is too large."""
    request, organization_id = call.request, call.request.caller.organization_id
    uses: Sequence[MeteredUse] = [use]
    async with database.transaction() as tx:
        if request.idempotent and result is not None and result.size <= _MOST_STORED_BYTES:
            await idempotency.store_response(tx, request.idempotent, result.to_json())
        elif request.idempotent:
            await idempotency.release(tx, request.idempotent)
        count = len(request.inputs.values)
        description = f"Embeddings of {count:,} input{'' if count == 1 else 's'}"
        reference = call.reference
        settled = await credits.settle(
            tx, organization_id=organization_id, reference=reference, uses=uses, description=description
        )
        if settled is None:
            # The hold has expired and was settled without this process, or another run has taken over the key, or this
            # was written before and its reply was lost. In each case this charges what is still to be charged.
            await credits.charge_late(
                tx, organization_id=organization_id, reference=reference, uses=uses, description=description
            )


async def _hold(
    tx: Transaction,
    request: EmbeddingsRequestOf,
    reference: str,
    amount: Decimal,
    former: str | None,
    time_limit: float,
) -> None:
    caller = request.caller
    if former is not None:
        # Only one run of a request is charged.
        await credits.supersede(tx, organization_id=caller.organization_id, reference=former, by_reference=reference)
    attribution = Attribution(
        organization_id=caller.organization_id,
        user_id=caller.user_id,
        api_key_id=caller.key_id,
        model=request.model,
        request_id=request_id_var.get(),
        traceparent=traceparent_var.get(),
    )
    try:
        await credits.hold(
            tx,
            attribution,
            reference=reference,
            amount=amount,
            expires_in=timedelta(seconds=time_limit + _HOLD_MARGIN_SECONDS),
            calls_opened=1,
            most=request.max_credits,
        )
    except InsufficientCreditsError:
        count_refusal(EventKind.MODEL_CALL)
        raise
