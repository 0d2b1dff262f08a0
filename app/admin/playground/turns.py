"""Turns of the playground: those of the API, for the user who is signed in and without a key.

A turn counts in the minute of the organization's plan and takes one of its slots, as one with a key does: what runs at
once for an organization is bounded, whoever has begun it. It counts in no key's windows. The form's own id is an
Idempotency-Key, so that a form that is sent twice runs once. Whoever presses Stop hangs up, which ends the turn.
"""

import asyncio
from dataclasses import replace
from time import monotonic
from typing import Final

from fastapi import Request

from app.admin.access import Viewer
from app.admin.playground.asking import Asked
from app.admin.playground.queries import find_terms
from app.chat.turns.request import TurnOwner
from app.chat.turns.result import TurnResult
from app.chat.turns.run import RunningTurn, Turns
from app.chat.turns.targets import Target
from app.core.database import Database
from app.core.middleware import response_hooks
from app.core.shares import organization_var
from app.idempotency.errors import IdempotencyKeyInProgressError
from app.idempotency.service import IdempotentRequest
from app.organizations.errors import SubscriptionRequiredError
from app.rate_limits.decisions import Limits
from app.rate_limits.dependencies import take_slot

_ROUTE: Final = "POST /admin/playground"
_AGAIN_SECONDS: Final = 0.5


async def begin_turn(
    request: Request, viewer: Viewer, database: Database, turns: Turns, asked: Asked, *, is_streamed: bool
) -> RunningTurn | TurnResult:
    """Begin the turn, or find the result that the same form has had before.

    Raises:
        SubscriptionRequiredError, RateLimitExceededError, ConcurrencyLimitExceededError: the organization may not.
        AppError: the turn is refused; see `Turns.begin`.
    """
    organization_var.set(viewer.organization_id)
    await _take_slot(request, viewer, database)
    wanted = replace(
        asked.request.turn_of(
            TurnOwner(viewer.organization_id, viewer.user_id, api_key_id=None),
            Target.of_model(asked.request.model),
            IdempotentRequest(viewer.organization_id, viewer.user_id, _ROUTE, asked.once, asked.hash),
        ),
        is_streamed=is_streamed,
        conversation_name=asked.session,
        is_stopped_by_leaving=is_streamed,
    )
    return await turns.begin(wanted)


async def finish_turn(
    request: Request, viewer: Viewer, database: Database, turns: Turns, asked: Asked, *, patience: float
) -> TurnResult:
    """Run the turn to its end. If the same form was sent twice, wait for the result of the first.

    Args:
        request: the request, whose slot is kept until the turn ends.
        viewer: who asks.
        database: where the terms of the organization are read.
        turns: the turns of this process.
        asked: what is asked for.
        patience: how long to wait for the other one, in seconds.

    Raises:
        AppError: the turn was refused, or has failed.
    """
    give_up_at = monotonic() + patience
    while True:
        try:
            begun = await begin_turn(request, viewer, database, turns, asked, is_streamed=False)
        except IdempotencyKeyInProgressError:
            if monotonic() > give_up_at:
                raise
            await asyncio.sleep(_AGAIN_SECONDS)
            continue
        if isinstance(begun, TurnResult):
            return begun
        # It goes on if the reader leaves the page, and keeps its slot until it ends.
        response_hooks(request).before_end.append(begun.ended)
        return await begun.result()


async def _take_slot(request: Request, viewer: Viewer, database: Database) -> None:
    if getattr(request.state, "slot", None) is not None:
        return
    async with database.transaction() as tx:
        terms = await find_terms(tx, viewer.organization_id)
    if not terms.is_subscribed:
        raise SubscriptionRequiredError
    limits = Limits.of_organization(
        viewer.organization_id, per_minute=terms.requests_per_minute, concurrent=terms.concurrent_requests
    )
    await take_slot(request, limits)
