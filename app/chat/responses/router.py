from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query, Request, Response
from starlette.convertors import StringConvertor, register_url_convertor

from app.api_keys.caller import Caller
from app.chat.dependencies import ERRORS_OF_A_TURN, OrchestratorInvoker, TurnsDep
from app.chat.responding import respond
from app.chat.responses.documents import RESPONSE, ResponseRead
from app.chat.responses.form import ResponseForm
from app.chat.responses.kept_items import with_kept_items
from app.chat.responses.request import ResponseRequest
from app.chat.responses.schemas import DeletedResponse, InputItemPage
from app.chat.responses.thoughts import ThoughtSeal
from app.core.database import Database
from app.core.documentation import may_raise
from app.core.errors import InvalidRequestError
from app.core.secret_keys import SecretKeys
from app.credits.dependencies import MaxCreditsDep
from app.dependencies import DatabaseDep, SettingsDep, TransactionDep
from app.idempotency.dependencies import IdempotentRequestDep
from app.kept_responses import service as kept_responses
from app.kept_responses.errors import ItemNotFoundError, PreviousResponseNotFoundError, ResponseNotFoundError
from app.kept_responses.keeping import Owner
from app.rate_limits.dependencies import GuardedRoute
from app.sessions.lease import PastTurn


class _ResponseIdConvertor(StringConvertor):
    """Any id. A path that OpenAI has for something else is none."""

    regex = "(?!compact$)[^/]+"


register_url_convertor("response_id", _ResponseIdConvertor())
router = APIRouter(prefix="/api/external/v1/responses", tags=["Chat"], route_class=GuardedRoute)

_RESPONSES: dict[int | str, dict[str, Any]] = {200: RESPONSE}
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
    try:
        wanted = body.turn_request(caller, idempotent, read, past, form.keeping)
        begun = await turns.begin(wanted.within(max_credits))
    except InvalidRequestError as refusal:
        raise body.in_its_words(refusal, read) from refusal
    return await respond(request, begun, form, is_streamed=bool(body.stream))


@router.get("/{response_id:response_id}", responses=_KEPT)
@may_raise(ResponseNotFoundError)
async def get_response(response_id: str, caller: OrchestratorInvoker, tx: TransactionDep) -> Response:
    """A response that is kept, as it was shown when it ended."""
    kept = await kept_responses.get_response(tx, _owner(caller), response_id)
    return Response(orjson.dumps(kept), media_type="application/json")


@router.delete("/{response_id:response_id}")
@may_raise(ResponseNotFoundError)
async def delete_response(response_id: str, caller: OrchestratorInvoker, tx: TransactionDep) -> DeletedResponse:
    """Delete a response. Its session keeps what was said."""
    await kept_responses.delete_response(tx, _owner(caller), response_id)
    return DeletedResponse(id=response_id)


@router.get("/{response_id:response_id}/input_items")
@may_raise(ResponseNotFoundError)
async def list_input_items(
    response_id: str,
    caller: OrchestratorInvoker,
    tx: TransactionDep,
    after: str | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> InputItemPage:
    """A page of the items of a response's request, the last one first unless `order` says otherwise."""
    items = await kept_responses.get_input(tx, _owner(caller), response_id)
    return InputItemPage.of(items, order=order, after=after, limit=limit)


@router.post("/{response_id:response_id}/cancel", openapi_extra={"x-billing": "free"}, responses=_KEPT)
@may_raise(ResponseNotFoundError, InvalidRequestError)
async def cancel_response(response_id: str, caller: OrchestratorInvoker, tx: TransactionDep) -> Response:
    """Cancel a response that runs in the background. No other one can be cancelled."""
    await kept_responses.get_response(tx, _owner(caller), response_id)
    raise InvalidRequestError("Only a response that runs in the background can be cancelled")


def _owner(caller: Caller) -> Owner:
    return caller.organization_id, caller.user_id


async def _past(database: Database, caller: Caller, body: ResponseRequest) -> PastTurn | None:
    """The turn of the response that the request goes on from, if it does."""
    if body.previous_response_id is None:
        return None
    kept = await kept_responses.get_previous(database, _owner(caller), body.previous_response_id)
    return PastTurn(kept.session_id, kept.turn_id)
