from typing import Any

from fastapi import APIRouter, Request, Response

from app.chat.dependencies import ERRORS_OF_A_TURN, AgentInvoker, OrchestratorInvoker, TurnsDep
from app.chat.openai.documents import COMPLETION
from app.chat.openai.form import CompletionForm
from app.chat.openai.request import AgentRequest, ChatRequest
from app.chat.openai.text_form import TEXT_COMPLETION, TextForm
from app.chat.openai.text_request import TextCompletionRequest
from app.chat.responding import respond
from app.chat.turns.targets import Target
from app.core.documentation import may_raise
from app.credits.dependencies import MaxCreditsDep
from app.idempotency.dependencies import IdempotentRequestDep
from app.rate_limits.dependencies import GuardedRoute

router = APIRouter(prefix="/api/external", tags=["Chat"], route_class=GuardedRoute)


_RESPONSES: dict[int | str, dict[str, Any]] = {200: COMPLETION}


@router.post("/v1/chat/completions", openapi_extra={"x-billing": "metered"}, responses=_RESPONSES)
@may_raise(*ERRORS_OF_A_TURN)
async def create_chat_completion(
    body: ChatRequest,
    caller: OrchestratorInvoker,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    request: Request,
    turns: TurnsDep,
) -> Response:
    """Run one turn of the organization's orchestrator, or of `model: "agent/<name>"`, in OpenAI's form."""
    wanted = body.turn_request(caller, Target.of_model(body.model), idempotent)
    begun = await turns.begin(wanted.within(max_credits))
    return await respond(request, begun, CompletionForm(body.wants_usage), is_streamed=bool(body.stream))


@router.post("/v1/completions", openapi_extra={"x-billing": "metered"}, responses={200: TEXT_COMPLETION})
@may_raise(*ERRORS_OF_A_TURN)
async def create_text_completion(
    body: TextCompletionRequest,
    caller: OrchestratorInvoker,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    request: Request,
    turns: TurnsDep,
) -> Response:
    """Run one turn with the prompt as its message, in the form of the time before chats."""
    wanted = body.chat.turn_request(caller, Target.of_model(body.model), idempotent)
    begun = await turns.begin(wanted.within(max_credits))
    return await respond(request, begun, TextForm(body.wants_usage), is_streamed=bool(body.stream))


@router.post("/agents/{agent_id}/completions", openapi_extra={"x-billing": "metered"}, responses=_RESPONSES)
@may_raise(*ERRORS_OF_A_TURN)
async def create_agent_completion(
    agent_id: str,
    body: AgentRequest,
    caller: AgentInvoker,
    idempotent: IdempotentRequestDep,
    max_credits: MaxCreditsDep,
    request: Request,
    turns: TurnsDep,
) -> Response:
    """Run one turn of an LLM agent, in OpenAI's form."""
    wanted = body.turn_request(caller, Target(agent_id=agent_id), idempotent)
    begun = await turns.begin(wanted.within(max_credits))
    return await respond(request, begun, CompletionForm(body.wants_usage), is_streamed=bool(body.stream))
