"""How a turn ends in Postgres.

Rows are locked in the same order as when a turn is admitted: first the idempotency key, then the session, then the
account. In different orders two turns could wait for each other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.agents.runtime.events import Finished
from app.chat.turns import repository
from app.chat.turns.ending import TurnEnding
from app.chat.turns.links import missing_links, transcript_with_links, with_links
from app.chat.turns.repository import EndedTurn
from app.chat.turns.result import TurnContent, TurnResult
from app.chat.turns.turn import hold_reference
from app.content import service as content
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.core.database import Database, Transaction
from app.core.errors import AppError
from app.core.group_commit import GroupCommit
from app.credits import service as credits
from app.generations.media_types import ContentType
from app.generations.states import Status
from app.idempotency import service as idempotency
from app.kept_responses import service as kept_responses
from app.kept_responses.keeping import Keeping
from app.sessions import service as sessions


@dataclass(frozen=True)
class _Ending:
    """What turns have in common that end together.

    Attributes:
        organization_id: who pays.
        stores_result: whether their results are stored for repetitions.
        keeps_result: whether they are kept as responses.
    """

    organization_id: str
    stores_result: bool
    keeps_result: bool


class TurnSettlement:
    """Ends turns in Postgres. Each end is one transaction, and may be written again if it is not known to be."""

    def __init__(self, database: Database, urls: FileUrls) -> None:
        self._database = database
        self._urls = urls
        self._ending: GroupCommit[_Ending, EndedTurn, bool] = GroupCommit(self._end_all, self._end_one)

    async def complete(self, ending: TurnEnding, answer: Finished) -> TurnResult:
        """Charge the turn, store its messages, free its session and store its result for a repeated request.

        Raises:
            ServiceUnavailableError: Postgres is away.
        """
        if ending.is_alone:
            result = _result_of(ending, answer, (), "")
            if await self._is_ended_together(ending, result):
                return result
        async with self._database.transaction() as tx:
            is_wanted = ending.lasting is None or await ending.lasting.is_live(tx)
            contents = [self._generated(item) for item in await _contents_of(tx, ending)]
            links = missing_links(answer, contents)
            result = _result_of(ending, answer, contents, links)
            if ending.idempotent:
                await idempotency.store_response(tx, ending.idempotent, result.to_json())
            linked = replace(ending, messages=transcript_with_links(ending.messages, links))
            await _end(tx, linked, _keeping(ending, result) if is_wanted else None)
            if ending.lasting:
                await ending.lasting.answered(tx, result)
        return result

    async def fail(self, ending: TurnEnding) -> None:
        """Charge the turn, store what was said, and free the session and the idempotency key.

        Raises:
            ServiceUnavailableError: Postgres is away.
        """
        if ending.is_alone and ending.idempotent is None and await self._is_ended_together(ending):
            return
        lasting = ending.lasting
        if lasting and lasting.is_handed_on:
            await lasting.hand_on()
            return
        async with self._database.transaction() as tx:
            if lasting:
                await lasting.is_live(tx)
            if ending.idempotent:
                await idempotency.release(tx, ending.idempotent)
            await _end(tx, ending)
            if lasting:
                await lasting.failed(tx, ending.error or AppError())

    async def _is_ended_together(self, ending: TurnEnding, result: TurnResult | None = None) -> bool:
        """End the turn together with others of its organization that end at the same time, if that is possible.

        If the request has a key, the result is stored for repetitions; if it asked for that, it is kept as a response.
        """
        stored = result if ending.idempotent else None
        keeping = _keeping(ending, result) if result else None
        key = _Ending(ending.organization_id, stores_result=stored is not None, keeps_result=keeping is not None)
        return await self._ending.submit(key, await _ended(ending, stored, keeping))

    async def _end_all(self, key: _Ending, ended: Sequence[EndedTurn]) -> Sequence[bool]:
        return await repository.end(self._database, key.organization_id, ended)

    async def _end_one(self, key: _Ending, ended: EndedTurn) -> bool:
        return (await repository.end(self._database, key.organization_id, [ended]))[0]

    def _generated(self, item: ContentWithOutputs) -> TurnContent:
        found = item.content
        urls = [self._urls.of(found, output) for output in item.outputs]
        return TurnContent(
            id=str(found.id),
            status=Status(found.status),
            content_type=ContentType(found.content_type) if found.content_type else None,
            url=urls[0] if urls else None,
            further_urls=tuple(urls[1:]),
        )


def _result_of(ending: TurnEnding, answer: Finished, contents: Sequence[TurnContent], links: str) -> TurnResult:
    return TurnResult(
        turn=ending.turn,
        message=with_links(answer, links).message,
        finish_reason=answer.finish_reason,
        logprobs=answer.logprobs,
        usage=ending.usage,
        contents=contents,
        links=links,
        ended_at=int(ending.ended_at.timestamp()),
    )


async def _contents_of(tx: Transaction, ending: TurnEnding) -> Sequence[ContentWithOutputs]:
    return await content.list_of_turn(tx, ending.organization_id, ending.turn.id) if ending.has_generations else []


def _keeping(ending: TurnEnding, result: TurnResult) -> Keeping | None:
    return ending.keeping(result) if ending.keeping else None


async def _ended(ending: TurnEnding, result: TurnResult | None = None, keeping: Keeping | None = None) -> EndedTurn:
    return EndedTurn(
        session=ending.session,
        reference=hold_reference(ending.turn.id),
        description=ending.agent,
        uses=ending.uses,
        messages=await sessions.columns_of(ending.messages),
        has_failed=ending.is_fault,
        answers=ending.idempotent if result else None,
        response=result.to_json() if result else None,
        user_id=ending.user_id,
        keeping=keeping,
    )


async def _end(tx: Transaction, ending: TurnEnding, keeping: Keeping | None = None) -> None:
    """End the turn in an open transaction."""
    await sessions.supersede(tx, ending.session, ending.superseded)
    if not (await repository.end(tx, ending.organization_id, [await _ended(ending, keeping=keeping)]))[0]:
        await _end_by_steps(tx, ending, keeping)


async def _end_by_steps(tx: Transaction, ending: TurnEnding, keeping: Keeping | None) -> None:
    """End a turn that its one statement cannot end."""
    if keeping:
        # Before the lease ends, which shows that the messages are stored.
        owner = ending.organization_id, ending.user_id
        await kept_responses.keep(tx, owner, ending.session, keeping)
    await sessions.end_turn(tx, ending.session, ending.messages, superseded=ending.superseded, failed=ending.is_fault)
    reference = hold_reference(ending.turn.id)
    settled = await credits.settle(
        tx,
        organization_id=ending.organization_id,
        reference=reference,
        uses=ending.uses,
        description=ending.agent,
    )
    if settled is None:
        # The hold has expired and was settled without this process, or another run has taken over the key, or this end
        # was written before and its reply was lost. In each case `charge_late` charges what is still to be charged.
        await credits.charge_late(
            tx,
            organization_id=ending.organization_id,
            reference=reference,
            uses=ending.uses,
            description=ending.agent,
        )
