"""Generations without an agent: all that a request asks for are requested together, then waited for."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from typing import Final

from app.api_keys.caller import Caller
from app.content import service as content
from app.content.service import ContentWithOutputs
from app.core.attribution import Attribution
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.core.request_context import request_id_var, traceparent_var
from app.credits.request_budget import budget_of
from app.direct_generations.errors import NothingMadeError, NotMadeYetError
from app.generations import service as generations
from app.generations.service import GenerationPolicy, GenerationRequest
from app.generations.states import Status
from app.idempotency import service as idempotency
from app.idempotency.claim import Claim
from app.idempotency.service import IdempotentRequest
from app.input_files.service import SentFiles
from app.queue.protocol import WakeQueue

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Wanted:
    """What each of the generations is: a model of the catalog, its input, and the files that the input names."""

    model: str
    values: Mapping[str, object]
    files: SentFiles | None = None


@dataclass(frozen=True)
class Asked:
    """A caller's request for `count` equal generations.

    `choose` says which, in the transaction that requests them; it raises the refusal if there are none such.
    `max_credits` is the most that all of them may cost; None if there is no limit.
    """

    caller: Caller
    count: int
    idempotent: IdempotentRequest | None
    choose: Callable[[Transaction], Awaitable[Wanted]]
    max_credits: Decimal | None = None


@dataclass(frozen=True)
class Made:
    """The contents in the order in which they were requested. `is_replayed`: an earlier run had requested them."""

    contents: Sequence[ContentWithOutputs]
    is_replayed: bool = False


@dataclass(frozen=True)
class DirectGenerations:
    """Requests generations and waits up to `wait_seconds` for them, unless the process is stopping."""

    database: Database
    queue: WakeQueue
    policy: GenerationPolicy
    wait_seconds: float
    is_stopping: Callable[[], bool]

    async def create(self, asked: Asked) -> Made:
        """Have the contents made. They go on being made if the client hangs up.

        Raises:
            UnknownModelError, ModelNotPricedError, InvalidRequestError, InsufficientCreditsError,
            MaxCreditsReachedError, IdempotencyKeyInProgressError, IdempotencyKeyReusedError: the request is refused.
                Nothing is held.
            NothingMadeError: none of them could be made.
            NotMadeYetError: they are not finished in time.
        """
        async with self.database.transaction() as tx:
            ids, is_replayed = await self._requested(tx, asked)
        organization_id = asked.caller.organization_id
        if is_replayed or asked.idempotent is None:
            return Made(await self._ended(organization_id, ids), is_replayed)
        renewing = asyncio.create_task(idempotency.keep(self.database, asked.idempotent))
        try:
            contents = await self._ended(organization_id, ids)
        except BaseException:  # raised again
            # A repetition takes over what is not failed.
            async with self.database.transaction() as tx:
                await idempotency.release(tx, asked.idempotent)
            raise
        finally:
            renewing.cancel()
        async with self.database.transaction() as tx:
            await idempotency.store_response(tx, asked.idempotent, {"content_ids": [str(each) for each in ids]})
        return Made(contents)

    async def _requested(self, tx: Transaction, asked: Asked) -> tuple[Sequence[uuid.UUID], bool]:
        """The ids of the contents, and whether the request has run before. All of them are held for, or none."""
        if asked.idempotent:
            claimed = await idempotency.claim(tx, asked.idempotent)
            if not isinstance(claimed, Claim):
                return [uuid.UUID(each) for each in claimed["content_ids"]], True
        wanted = await asked.choose(tx)
        request = _request_of(asked, wanted)
        requested = [
            await generations.request_generation(tx, self.queue, self.policy, request) for _ in range(asked.count)
        ]
        ids = [each.id for each in requested]
        if wanted.files is not None:
            await wanted.files.keep(tx, ids)
        return ids, False

    async def _ended(self, organization_id: str, ids: Sequence[uuid.UUID]) -> Sequence[ContentWithOutputs]:
        """The contents once all of them have ended. No connection is held between two looks."""
        give_up_at = monotonic() + self.wait_seconds
        pause = _FIRST_PAUSE_SECONDS
        while await content.count_unended_among(self.database, organization_id, ids):
            if self.is_stopping() or monotonic() + pause > give_up_at:
                raise NotMadeYetError([str(each) for each in ids])
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        async with self.database.transaction() as tx:
            found = await content.list_by_id(tx, organization_id, ids)
        if all(each.content.status == Status.FAILED for each in found):
            raise NothingMadeError(found[0].content.error_message if found else None)
        return found


def _request_of(asked: Asked, wanted: Wanted) -> GenerationRequest:
    caller, idempotent = asked.caller, asked.idempotent
    return GenerationRequest(
        organization_id=caller.organization_id,
        user_id=caller.user_id,
        session_id=None,
        # By it a repetition knows what an earlier run of the same request has asked for.
        turn_id=new_id("direct") if idempotent else None,
        model=wanted.model,
        input=wanted.values,
        request_key=idempotent.request_key if idempotent else None,
        attribution=Attribution(
            organization_id=caller.organization_id,
            user_id=caller.user_id,
            api_key_id=caller.key_id,
            request_id=request_id_var.get(),
            traceparent=traceparent_var.get(),
        ),
        budget=budget_of(asked.max_credits),
    )
