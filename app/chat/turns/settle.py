"""How a turn ends in Postgres.

Rows are locked in the same order as when a turn is admitted: first the idempotency key, then the session, then the
account. In different orders two turns could wait for each other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from app.agents.runtime.events import Finished
from app.chat.turns.result import TurnContent, TurnResult
from app.chat.turns.turn import AdmittedTurn, hold_reference
from app.content import service as content
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.core.database import Database, Transaction
from app.core.errors import ServiceUnavailableError
from app.credits import service as credits
from app.generations.media_types import ContentType
from app.generations.states import Status
from app.idempotency import service as idempotency
from app.sessions import service as sessions

# Seconds to wait before each new try while Postgres is away.
_PAUSES: Final = (0.2, 1.0, 3.0)

_T = TypeVar("_T")


class TurnSettlement:
    """Ends turns in Postgres, and renews their leases until then."""

    def __init__(self, database: Database, urls: FileUrls) -> None:
        self._database = database
        self._urls = urls

    async def complete(self, turn: AdmittedTurn, answer: Finished) -> TurnResult:
        """Charge the turn, store its messages, free its session and store its result for a repeated request.

        All of it happens in one transaction.

        Raises:
            ServiceUnavailableError: Postgres stays away.
        """
        return await self._with_retries(partial(self._complete, turn=turn, answer=answer))

    async def fail(self, turn: AdmittedTurn, *, is_fault: bool, is_charged: bool) -> None:
        """Charge for what was delivered, store what was said, and free the session and the idempotency key.

        All of it happens in one transaction.

        Args:
            turn: the turn.
            is_fault: whether something went wrong. False if the client hung up.
            is_charged: whether the model calls so far are to be paid for.

        Raises:
            ServiceUnavailableError: Postgres stays away.
        """
        await self._with_retries(partial(_fail, turn=turn, is_fault=is_fault, is_charged=is_charged))

    async def renew_leases(self, turn: AdmittedTurn) -> None:
        """Renew the leases on the turn's session and idempotency key."""
        async with self._database.transaction() as tx:
            if turn.request.idempotent:
                await idempotency.renew(tx, turn.request.idempotent)
            await sessions.renew_turn(tx, turn.session)

    async def _complete(self, tx: Transaction, turn: AdmittedTurn, answer: Finished) -> TurnResult:
        contents = await content.list_of_turn(tx, turn.request.caller.organization_id, turn.id)
        result = TurnResult(
            turn=turn.identity,
            message=answer.message,
            finish_reason=answer.finish_reason,
            logprobs=answer.logprobs,
            usage=turn.meter.usage,
            contents=[self._generated(item) for item in contents],
        )
        idempotent = turn.request.idempotent
        # If another run of the request has taken over the key, that run is charged and this one is not.
        is_ours = not idempotent or await idempotency.store_response(tx, idempotent, result.to_json())
        await _store_messages(tx, turn, failed=False)
        await _settle(tx, turn, is_charged=is_ours)
        return result

    def _generated(self, item: ContentWithOutputs) -> TurnContent:
        found = item.content
        return TurnContent(
            id=str(found.id),
            status=Status(found.status),
            content_type=ContentType(found.content_type) if found.content_type else None,
            url=self._urls.of(found, item.outputs[0]) if item.outputs else None,
        )

    async def _with_retries(self, step: Callable[[Transaction], Awaitable[_T]]) -> _T:
        """Run the step in a transaction, and again if Postgres is away. Every part of a step is idempotent."""
        for pause in _PAUSES:
            try:
                async with self._database.transaction() as tx:
                    return await step(tx)
            except ServiceUnavailableError:
                await asyncio.sleep(pause)
        async with self._database.transaction() as tx:
            return await step(tx)


async def _fail(tx: Transaction, turn: AdmittedTurn, *, is_fault: bool, is_charged: bool) -> None:
    # As in `complete`, a run that has lost its key is not charged.
    is_ours = not turn.request.idempotent or await idempotency.release(tx, turn.request.idempotent)
    await _store_messages(tx, turn, failed=is_fault)
    await _settle(tx, turn, is_charged=is_ours and is_charged)


async def _store_messages(tx: Transaction, turn: AdmittedTurn, *, failed: bool) -> None:
    said = turn.run.transcript
    # If a turn fails before anything was said, the client's messages are not stored. The client will send them again,
    # and messages that the provider rejects would make every later turn fail.
    asked = [] if failed and not said else [(None, message) for message in turn.request.messages]
    await sessions.end_turn(tx, turn.session, [*asked, *said], failed=failed)


async def _settle(tx: Transaction, turn: AdmittedTurn, *, is_charged: bool) -> None:
    organization_id, reference = turn.request.caller.organization_id, hold_reference(turn.id)
    if is_charged and turn.meter.was_used:
        cost, name = turn.meter.cost, turn.run.agent.name
        await credits.settle(tx, organization_id=organization_id, reference=reference, cost=cost, description=name)
    else:
        await credits.void(tx, organization_id=organization_id, reference=reference)
