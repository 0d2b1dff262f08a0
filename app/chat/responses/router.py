from typing import Any

from fastapi import APIRouter, Request, Response

from app.chat.dependencies import OrchestratorInvoker, TurnsDep, of_a_turn
from app.chat.responding import respond
from app.chat.responses.documents import RESPONSE
from app.chat.responses.form import ResponseForm
from app.chat.responses.request import ResponseRequest
from app.chat.responses.thoughts import ThoughtSeal
from app.core.errors import InvalidRequestError
from app.core.secret_keys import SecretKeys
from app.dependencies import SettingsDep
from app.idempotency.dependencies import IdempotentRequestDep
from app.rate_limits.dependencies import GuardedRoute

router = APIRouter(prefix="/api/external/v1/responses", tags=["Chat"], route_class=GuardedRoute)

_RESPONSES: dict[int | str, dict[str, Any]] = {200: RESPONSE}


@router.post("", openapi_extra={"x-billing": "metered"}, responses=_RESPONSES)
@of_a_turn
async def create_response(
    body: ResponseRequest,
    caller: OrchestratorInvoker,
    idempotent: IdempotentRequestDep,
    settings: SettingsDep,
    request: Request,
    turns: TurnsDep,
) -> Response:
    """Run one turn of the organization's orchestrator, or of `model: "agent/<name>"`, as an OpenAI response."""
    seal = ThoughtSeal(SecretKeys.of(settings), caller.organization_id)
    try:
        begun = await turns.begin(body.turn_request(caller, idempotent, seal))
    except InvalidRequestError as refusal:
        raise body.in_its_words(refusal) from refusal
    return await respond(request, begun, ResponseForm(body, seal), is_streamed=bool(body.stream))
