"""How a turn ends in Postgres.

Rows are locked in the order in which opening a turn locks them, the key, the session, the account: in different orders
two turns could wait for each other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, TypeVar

from app.agents.runtime.events import Finished
from app.chat.turns.turn import OpenTurn, TurnResult
from app.chat_models.protocol import JsonObject
from app.content import service as content
from app.core.database import Database, Transaction
from app.core.errors import ServiceUnavailableError
from app.credits import service as credits
from app.idempotency import service as idempotency
from app.resources import Resources
from app.sessions import service as sessions

# How long to wait before closing a turn again, in seconds.
_PAUSES: Final = (0.2, 1.0, 3.0)

Render = Callable[[OpenTurn, TurnResult], JsonObject]
_T = TypeVar("_T")


async def complete_turn(resources: Resources, turn: OpenTurn, answer: Finished, render: Render) -> TurnResult:
    """Charge the turn, store what was said, free its session and keep its answer for a repeat, in one transaction.

    Raises:
        ServiceUnavailableError: Postgres stays away.
    """
    return await _close(resources.database, partial(_complete, turn=turn, answer=answer, render=render))


async def fail_turn(resources: Resources, turn: OpenTurn, *, is_fault: bool, is_charged: bool) -> None:
    """Charge what was delivered, store what was said, and free the session and the key, in one transaction.

    Args:
        resources: what the process talks to.
        turn: the turn.
        is_fault: whether it went wrong; it did not where the client left.
        is_charged: whether what the model calls cost so far is to be paid.

    Raises:
        ServiceUnavailableError: Postgres stays away.
    """
    await _close(resources.database, partial(_fail, turn=turn, is_fault=is_fault, is_charged=is_charged))


async def renew_turn(resources: Resources, turn: OpenTurn) -> None:
    """Keep the turn's session and key while the turn goes on."""
    async with resources.database.transaction() as tx:
        if turn.idempotent:
            await idempotency.renew(tx, turn.idempotent)
        await sessions.renew_turn(tx, turn.session)


async def _close(database: Database, step: Callable[[Transaction], Awaitable[_T]]) -> _T:
    """Run a transaction that closes a turn; where Postgres goes away meanwhile, again: each step happens once."""
    for pause in _PAUSES:
        try:
            async with database.transaction() as tx:
                return await step(tx)
        except ServiceUnavailableError:
            await asyncio.sleep(pause)
    async with database.transaction() as tx:
        return await step(tx)


async def _complete(tx: Transaction, turn: OpenTurn, answer: Finished, render: Render) -> TurnResult:
    contents = await content.list_of_turn(tx, turn.caller.organization_id, turn.id)
    result = TurnResult(answer, turn.meter.usage, contents)
    # Where another run has taken the key over, that one is charged and not this one.
    is_ours = not turn.idempotent or await idempotency.store_response(tx, turn.idempotent, render(turn, result))
    await _store_messages(tx, turn, failed=False)
    await _settle(tx, turn, is_charged=is_ours)
    return result


async def _fail(tx: Transaction, turn: OpenTurn, *, is_fault: bool, is_charged: bool) -> None:
    # As above: what another run of the same key is charged for, this one is not.
    is_ours = not turn.idempotent or await idempotency.release(tx, turn.idempotent)
    await _store_messages(tx, turn, failed=is_fault)
    await _settle(tx, turn, is_charged=is_ours and is_charged)


async def _store_messages(tx: Transaction, turn: OpenTurn, *, failed: bool) -> None:
    said = turn.context.transcript
    # A failure before anything was said leaves nothing behind: the client will send its words again, and words that
    # the provider rejects would make every turn to come fail.
    asked = [] if failed and not said else [(None, message) for message in turn.new_messages]
    await sessions.end_turn(tx, turn.session, [*asked, *said], failed=failed)


async def _settle(tx: Transaction, turn: OpenTurn, *, is_charged: bool) -> None:
    organization_id, reference = turn.caller.organization_id, turn.hold_reference
    if is_charged and turn.meter.was_used:
        cost, name = turn.meter.cost, turn.agent.name
        await credits.settle(tx, organization_id=organization_id, reference=reference, cost=cost, description=name)
    else:
        await credits.void(tx, organization_id=organization_id, reference=reference)
