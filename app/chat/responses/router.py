from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from app.api_keys.caller import Caller
from app.chat.dependencies import ERRORS_OF_A_TURN, OrchestratorInvoker, ResponseOwner, TurnsDep
from app.chat.responding import FIRST_WORD_SECONDS, respond, respond_at_once, respond_with_events
from app.chat.responses.documents import RESPONSE, ResponseRead
from app.chat.responses.form import ResponseForm
from app.chat.responses.kept_items import with_kept_items
from app.chat.responses.lasting_response import LastingResponse
from app.chat.responses.request import ResponseRequest
from app.chat.responses.resource import queued_resource
from app.chat.responses.response_events import cancelled_event
from app.chat.responses.response_runs import ResponseRuns
from app.chat.responses.schemas import DeletedResponse, InputItemPage
from app.chat.responses.stored_stream import stored_events
from app.chat.responses.thoughts import ThoughtSeal
from app.chat.turns.request import TurnOwner, TurnRequest
from app.chat_models.protocol import JsonObject
from app.core.database import Database, Transaction
from app.core.documentation import may_raise
from app.core.errors import InvalidRequestError
from app.core.secret_keys import SecretKeys
from app.credits.dependencies import MaxCreditsDep
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep
from app.idempotency.dependencies import IdempotentRequestDep
from app.kept_responses import service as kept_responses
from app.kept_responses.errors import ItemNotFoundError, PreviousResponseNotFoundError, ResponseNotFoundError
from app.kept_responses.keeping import Owner
from app.rate_limits.dependencies import GuardedRoute, keep_slot
from app.response_runs import service as response_runs
from app.response_runs.errors import EventsNotStoredError
from app.sessions.lease import PastTurn


class _ResponseIdConvertor(StringConvertor):
    """Any id. A path that OpenAI has for something else is none."""

    regex = "(?!compact$)[^/]+"


register_url_convertor("response_id", _ResponseIdConvertor())
router = APIRouter(prefix="/api/external/v1/responses", tags=["Chat"], route_class=GuardedRoute)

_RESPONSES: dict[int | str, dict[str, Any]] = {200: RESPONSE}
# The largest number that Postgres has for one.
_LAST_EVENT: Final = 2**31 - 2
_KEPT: dict[int | str, dict[str, Any]] = {200: {"model": ResponseRead}}


@router.post("", openapi_extra={"x-billing": "metered"}, responses=_RESPONSES)
@may_raise(*ERRORS_OF_A_TURN, PreviousResponseNotFoundError, ItemNotFoundError)
async def create_response(
    body: ResponseRequest,
    caller: OrchestratorInvoker,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    settings: SettingsDep,
    database: DatabaseDep,
    request: Request,
    turns: TurnsDep,
) -> Response:
    """Run one turn of the organization's orchestrator, or of `model: "agent/<name>"`, as an OpenAI response."""
    seal = ThoughtSeal(SecretKeys.of(settings), caller.organization_id)
    form = ResponseForm(body, seal)
    read = await with_kept_items(database, _owner(caller), body.read)
    seal.put_back(read.sealed, read.messages)
    past = await _past(database, caller, body)
    lasting = None
    if body.background or (body.stream and body.is_kept and idempotent):
        lasting = LastingResponse(database, form, TurnOwner.of(caller), await request.body())
    asked = body.turn_request(caller, idempotent, read, past, form.keeping, lasting=lasting).within(max_credits)
    try:
        if lasting:
            return await _run_without_client(request, caller, body, lasting, asked)
        begun = await turns.begin(asked)
    except InvalidRequestError as refusal:
        raise body.in_its_words(refusal, read) from refusal
    return await respond(request, begun, form, is_streamed=bool(body.stream))


async def _run_without_client(
    request: Request, caller: Caller, body: ResponseRequest, lasting: LastingResponse, asked: TurnRequest
) -> Response:
    """Accept a response, and show it as it is then, or its events."""
    running: ResponseRuns = request.app.state.response_runs
    database: Database = request.app.state.resources.database
    response_id = await running.start(lasting, asked, partial(keep_slot, request))
    if body.stream:
        if not body.background:
            await lasting.wait_for_first(FIRST_WORD_SECONDS)
        events = await _events(database, _owner(caller), response_id, -1)
        return respond_with_events(events, is_replayed=not lasting.is_accepted)
    if lasting.is_accepted:
        return respond_at_once(queued_resource(body, lasting.turn))
    async with database.transaction() as tx:
        return respond_at_once(await _shown(tx, _owner(caller), response_id), is_replayed=True)


@router.get("/{response_id:response_id}", responses=_RESPONSES)
@may_raise(ResponseNotFoundError, InvalidRequestError)
async def get_response(
    response_id: str,
    caller: ResponseOwner,
    database: DatabaseDep,
    stream: bool = False,
    starting_after: Annotated[int | None, Query(ge=0, le=_LAST_EVENT)] = None,
) -> Response:
    """A response as it is now, or with `stream` the events of one in the background, those after `starting_after`."""
    if stream:
        after = -1 if starting_after is None else starting_after
        return respond_with_events(await _events(database, _owner(caller), response_id, after))
    async with database.transaction() as tx:
        return respond_at_once(await _shown(tx, _owner(caller), response_id))


@router.delete("/{response_id:response_id}")
@may_raise(ResponseNotFoundError)
async def delete_response(response_id: str, caller: ResponseOwner, tx: TransactionDep) -> DeletedResponse:
    """Delete a response. Its session keeps what was said. One that still runs in the background ends."""
    was_run = await response_runs.delete(tx, _owner(caller), response_id)
    try:
        await kept_responses.delete_response(tx, _owner(caller), response_id)
    except ResponseNotFoundError:
        if not was_run:
            raise
    return DeletedResponse(id=response_id)


@router.get("/{response_id:response_id}/input_items")
@may_raise(ResponseNotFoundError)
async def list_input_items(
    response_id: str,
    caller: ResponseOwner,
    tx: TransactionDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> InputItemPage:
    """A page of the items of a response's request, the last one first unless `order` says otherwise."""
    running = await response_runs.find_input(tx, _owner(caller), response_id)
    items = await kept_responses.get_input(tx, _owner(caller), response_id) if running is None else running
    return InputItemPage.of(items, order=order, after=after, limit=limit)


@router.post("/{response_id:response_id}/cancel", openapi_extra={"x-billing": "free"}, responses=_KEPT)
@may_raise(ResponseNotFoundError, InvalidRequestError)
async def cancel_response(response_id: str, caller: ResponseOwner, tx: TransactionDep) -> Response:
    """Cancel a response that runs in the background. One that has ended stays as it is; no other can be cancelled."""
    await response_runs.cancel(tx, _owner(caller), response_id, cancelled_event)
    shown = await _shown(tx, _owner(caller), response_id)
    if not shown["background"]:
        raise InvalidRequestError("Only a response that runs in the background can be cancelled")
    return respond_at_once(shown)


async def _shown(tx: Transaction, owner: Owner, response_id: str) -> JsonObject:
    """The response as it is now.

    Raises:
        ResponseNotFoundError: the owner has none of this id.
    """
    # In this order: one that ends in between is found among those that are kept.
    running = await response_runs.find_response(tx, owner, response_id)
    return running or await kept_responses.get_response(tx, owner, response_id)


async def _events(database: Database, owner: Owner, response_id: str, after: int) -> AsyncIterator[bytes]:
    """The events of a response after the one of this number.

    Raises:
        ResponseNotFoundError: the owner has none of this id.
        InvalidRequestError: none are stored, or there is none of this number.
    """
    found = await response_runs.read_events(database, owner, response_id, after)
    if found is None:
        async with database.transaction() as tx:
            await kept_responses.get_response(tx, owner, response_id)
        raise EventsNotStoredError
    return stored_events(database, owner, response_id, found, after)


def _owner(caller: Caller) -> Owner:
    return caller.organization_id, caller.user_id


async def _past(database: Database, caller: Caller, body: ResponseRequest) -> PastTurn | None:
    """The turn of the response that the request goes on from, if it does."""
    if body.previous_response_id is None:
        return None
    kept = await kept_responses.get_previous(database, _owner(caller), body.previous_response_id)
    return PastTurn(kept.session_id, kept.turn_id)
