from fastapi import APIRouter, Request, Response

from app.chat import responses, service
from app.chat.dependencies import OrchestratorInvoker, TurnsDep
from app.chat.schemas import ChatRequest
from app.chat.service import Replay
from app.content.dependencies import FileUrlsDep
from app.dependencies import ResourcesDep
from app.idempotency.dependencies import IdempotentRequestDep
from app.rate_limits.dependencies import GuardedRoute

router = APIRouter(prefix="/api/external/v1", tags=["Chat"], route_class=GuardedRoute)


@router.post("/chat/completions")
async def create_chat_completion(
    body: ChatRequest,
    caller: OrchestratorInvoker,
    idempotent: IdempotentRequestDep,
    request: Request,
    resources: ResourcesDep,
    turns: TurnsDep,
    urls: FileUrlsDep,
) -> Response:
    """Run one turn of the organization's orchestrator, in the form of OpenAI's chat completions."""
    opened = await service.open_turn(resources, caller, body, idempotent)
    if isinstance(opened, Replay):
        return responses.replay(opened, body)
    running = turns.start(resources, opened, responses.renderer(urls))
    return await responses.answer(request, running, body, urls)
