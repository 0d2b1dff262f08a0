from fastapi import APIRouter, Request, Response

from app.chat.dependencies import AgentInvoker, OrchestratorInvoker, TurnsDep
from app.chat.openai import http as responses
from app.chat.openai.request import AgentRequest, ChatRequest
from app.chat.turns import admit as opening
from app.chat.turns.targets import Target
from app.chat.turns.turn import Replay
from app.content.dependencies import FileUrlsDep
from app.dependencies import ResourcesDep
from app.idempotency.dependencies import IdempotentRequestDep
from app.rate_limits.dependencies import GuardedRoute

router = APIRouter(prefix="/api/external", tags=["Chat"], route_class=GuardedRoute)


@router.post("/v1/chat/completions", openapi_extra={"x-billing": "metered"})
async def create_chat_completion(
    body: ChatRequest,
    caller: OrchestratorInvoker,
    idempotent: IdempotentRequestDep,
    request: Request,
    resources: ResourcesDep,
    turns: TurnsDep,
    urls: FileUrlsDep,
) -> Response:
    """Run one turn of the organization's orchestrator, or of `model: "agent/<name>"`, in OpenAI's form."""
    opened = await opening.open_turn(resources, caller, Target.of_model(body.model), body, idempotent)
    if isinstance(opened, Replay):
        return responses.replay(opened, body)
    running = turns.start(resources, opened, responses.renderer(urls))
    return await responses.answer(request, running, body, urls)


@router.post("/agents/{agent_id}/completions", openapi_extra={"x-billing": "metered"})
async def create_agent_completion(
    agent_id: str,
    body: AgentRequest,
    caller: AgentInvoker,
    idempotent: IdempotentRequestDep,
    request: Request,
    resources: ResourcesDep,
    turns: TurnsDep,
    urls: FileUrlsDep,
) -> Response:
    """Run one turn of an LLM agent, in OpenAI's form."""
    opened = await opening.open_turn(resources, caller, Target(agent_id=agent_id), body, idempotent)
    if isinstance(opened, Replay):
        return responses.replay(opened, body)
    running = turns.start(resources, opened, responses.renderer(urls))
    return await responses.answer(request, running, body, urls)
