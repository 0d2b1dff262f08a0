"""Images without an agent: all that a request asks for are requested together, then waited for."""

import asyncio
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from time import monotonic
from typing import Final

from app.api_keys.caller import Caller
from app.catalog import service as catalog
from app.content import service as content
from app.content.service import ContentWithOutputs
from app.core.attribution import Attribution
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.core.request_context import request_id_var, traceparent_var
from app.credits.request_budget import budget_of
from app.generations import service as generations
from app.generations.service import GenerationPolicy, GenerationRequest
from app.generations.states import Status
from app.idempotency import service as idempotency
from app.idempotency.claim import Claim
from app.idempotency.service import IdempotentRequest
from app.images.errors import ImagesFailedError, ImagesUnfinishedError
from app.images.pictures import Pictures
from app.input_files.service import SentFiles
from app.queue.protocol import WakeQueue

_FIRST_PAUSE_SECONDS: Final = 0.1
_LONGEST_PAUSE_SECONDS: Final = 1.0


@dataclass(frozen=True)
class ImagesAsked:
    """A caller's request for `count` images, new or changed. The catalog says what its `fields` are to the model.

    `max_credits` is the most that all of them may cost; None if there is no limit.
    """

    caller: Caller
    prompt: str
    model: str | None
    count: int
    fields: Mapping[str, str | None]
    idempotent: IdempotentRequest | None
    max_credits: Decimal | None = None
    # What is to be changed; None if the images are new ones.
    pictures: Pictures | None = None


@dataclass(frozen=True)
class ImagesMade:
    """The contents in the order in which they were requested. `is_replayed`: an earlier run had requested them."""

    contents: Sequence[ContentWithOutputs]
    is_replayed: bool = False


@dataclass(frozen=True)
class Images:
    """Requests images and waits up to `wait_seconds` for them, unless the process is stopping."""

    database: Database
    queue: WakeQueue
    policy: GenerationPolicy
    wait_seconds: float
    is_stopping: Callable[[], bool]

    async def create(self, asked: ImagesAsked) -> ImagesMade:
        """Have the images made. They go on being made if the client hangs up.

        Raises:
            UnknownModelError, ModelNotPricedError, InvalidRequestError, InsufficientCreditsError,
            MaxCreditsReachedError, IdempotencyKeyInProgressError, IdempotencyKeyReusedError: the request is refused.
                Nothing is held.
            ImagesFailedError: none of them could be made.
            ImagesUnfinishedError: they are not finished in time.
        """
        async with self.database.transaction() as tx:
            ids, is_replayed = await self._requested(tx, asked)
        organization_id = asked.caller.organization_id
        if is_replayed or asked.idempotent is None:
            return ImagesMade(await self._ended(organization_id, ids), is_replayed)
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
        return ImagesMade(contents)

    async def _requested(self, tx: Transaction, asked: ImagesAsked) -> tuple[Sequence[uuid.UUID], bool]:
        """The ids of the contents, and whether the request has run before. All of them are held for, or none."""
        if asked.idempotent:
            claimed = await idempotency.claim(tx, asked.idempotent)
            if not isinstance(claimed, Claim):
                return [uuid.UUID(each) for each in claimed["content_ids"]], True
        if asked.pictures is None:
            model, inputs = await catalog.get_image_model(tx, asked.model)
            return await self._request(tx, asked, model, inputs.of_fields(model, asked.fields)), False
        model, edits = await catalog.get_edit_model(tx, asked.model)
        pictures, request_key = asked.pictures, asked.idempotent.request_key if asked.idempotent else None
        sent = await SentFiles.of(tx, asked.caller.organization_id, request_key, pictures.sent)
        images, mask = pictures.named(sent.names)
        values = {**edits.of_images(model, images, mask), **edits.of_fields(model, asked.fields)}
        ids = await self._request(tx, asked, model, values)
        await sent.keep(tx, ids)
        return ids, False

    async def _request(
        self, tx: Transaction, asked: ImagesAsked, model: str, values: Mapping[str, object]
    ) -> Sequence[uuid.UUID]:
        request = _request_of(asked, model, {"prompt": asked.prompt, **values})
        requested = [
            await generations.request_generation(tx, self.queue, self.policy, request) for _ in range(asked.count)
        ]
        return [each.id for each in requested]

    async def _ended(self, organization_id: str, ids: Sequence[uuid.UUID]) -> Sequence[ContentWithOutputs]:
        """The contents once all of them have ended. No connection is held between two looks."""
        give_up_at = monotonic() + self.wait_seconds
        pause = _FIRST_PAUSE_SECONDS
        while await content.count_unended_among(self.database, organization_id, ids):
            if self.is_stopping() or monotonic() + pause > give_up_at:
                raise ImagesUnfinishedError([str(each) for each in ids])
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, _LONGEST_PAUSE_SECONDS)
        async with self.database.transaction() as tx:
            found = await content.list_by_id(tx, organization_id, ids)
        if all(each.content.status == Status.FAILED for each in found):
            raise ImagesFailedError(found[0].content.error_message if found else None)
        return found


def _request_of(asked: ImagesAsked, model: str, values: Mapping[str, object]) -> GenerationRequest:
    caller, idempotent = asked.caller, asked.idempotent
    return GenerationRequest(
        organization_id=caller.organization_id,
        user_id=caller.user_id,
        session_id=None,
        # By it a repetition knows what an earlier run of the same request has asked for.
        turn_id=new_id("images") if idempotent else None,
        model=model,
        input=values,
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
