import asyncio
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic

from app.agents.definition import AgentDefinition
from app.agents.runtime.context import ModelRoute, RunContext
from app.agents.runtime.run import answering_agent, first_body, tools_of
from app.agents.tools.names import REPLICATE_GENERATE
from app.agents.tools.protocol import ServerTool
from app.agents.tools.replicate_generate import ReplicateGenerate
from app.api_keys.caller import Caller
from app.catalog import service as catalog
from app.catalog.service import PricedModel
from app.chat.openai.request import ChatRequest
from app.chat.turns.meter import TurnMeter
from app.chat.turns.targets import Target, check_scope, find_agent
from app.chat.turns.turn import OpenTurn, Replay, hold_reference
from app.chat_models.protocol import JsonObject, Upstream
from app.content.urls import FileUrls
from app.core.clock import now
from app.core.crypto import new_id
from app.core.database import Transaction
from app.core.errors import InvalidRequestError, ProviderError
from app.core.settings import Settings
from app.credits import service as credits
from app.idempotency import service as idempotency
from app.idempotency.service import IdempotentRequest
from app.resources import Resources
from app.sessions import service as sessions
from app.sessions.errors import SessionBusyError
from app.sessions.history import with_all_results, with_recent
from app.sessions.service import LeasedSession

_BUSY_PATIENCE_SECONDS = 5.0
_BUSY_PAUSE_SECONDS = 0.1
# How long after the latest end of a turn its hold is taken for a crash's.
_HOLD_MARGIN = timedelta(seconds=60)


async def open_turn(
    resources: Resources,
    caller: Caller,
    target: Target,
    request: ChatRequest,
    idempotent: IdempotentRequest | None,
) -> OpenTurn | Replay:
    """Admit a turn of an agent, in one transaction; wait a while for a busy session.

    Raises:
        ScopeNotAllowedError, AgentNotFoundError, AgentInactiveError, AgentNotInvocableError, SessionNotFoundError,
        SessionBusyError,
        ModelNotPricedError, InvalidRequestError, InsufficientCreditsError, IdempotencyKeyInProgressError,
        IdempotencyKeyReusedError: nothing has been started, held or stored.
    """
    check_scope(caller, target)
    asked_at = monotonic()
    while True:
        try:
            async with resources.database.transaction() as tx:
                if idempotent and (answer := await idempotency.claim(tx, idempotent)):
                    return Replay(answer)
                return await _open_turn(tx, resources, caller, target, request, idempotent, asked_at)
        except SessionBusyError:
            if monotonic() > asked_at + _BUSY_PATIENCE_SECONDS:
                raise
        await asyncio.sleep(_BUSY_PAUSE_SECONDS)


async def _open_turn(
    tx: Transaction,
    resources: Resources,
    caller: Caller,
    target: Target,
    request: ChatRequest,
    idempotent: IdempotentRequest | None,
    asked_at: float,
) -> OpenTurn:
    turn_id = new_id("turn")
    agent = await find_agent(tx, caller, target, resources.settings.llm_model)
    session = await sessions.begin_turn(
        tx, caller, turn_id, session_id=request.session_id, conversation_id=request.conversation_id
    )
    models = {name: await catalog.get_chat_model(tx, name) for name in agent.models()}
    meter = TurnMeter(
        resources.database,
        organization_id=caller.organization_id,
        reference=hold_reference(turn_id),
        models=models,
        image_tokens=resources.settings.image_prompt_tokens,
    )
    server_tools = await _server_tools(tx, resources, caller, session, agent, idempotent)
    context = _run_context(resources, request, models, meter, server_tools)
    _refuse_same_names(context, agent)
    turn = OpenTurn(
        id=turn_id,
        asked_at=asked_at,
        caller=caller,
        target=target,
        created_at=now(),
        time_limit=context.timeout,
        session=session,
        agent=agent,
        new_messages=request.wire_messages(),
        messages=await _conversation(tx, session, agent, request),
        context=context,
        meter=meter,
        idempotent=idempotent,
    )
    await _hold_first_call(tx, turn)
    return turn


def _run_context(
    resources: Resources,
    request: ChatRequest,
    models: Mapping[str, PricedModel],
    meter: TurnMeter,
    server_tools: Mapping[str, ServerTool],
) -> RunContext:
    settings = resources.settings
    return RunContext(
        chat_models=resources.chat_models,
        routes={name: _route(settings, model) for name, model in models.items()},
        meter=meter,
        parameters=request.parameters(),
        client_tools=request.wire_tools(),
        server_tools=server_tools,
        is_streamed=bool(request.stream),
        timeout=_time_limit(settings, request),
    )


async def _conversation(
    tx: Transaction, session: LeasedSession, agent: AgentDefinition, request: ChatRequest
) -> list[JsonObject]:
    """What the agent is to see: as much of the history as it is allowed, and the new messages."""
    history = await sessions.load_history(tx, session)
    messages = with_recent(history, request.wire_messages(), agent.max_history_tokens)
    return [dict(message) for message in with_all_results(messages)]


async def _hold_first_call(tx: Transaction, turn: OpenTurn) -> None:
    body = first_body(turn.context, turn.agent, turn.messages)
    if body is not None:
        turn.meter.expect_call(turn.agent.model, body)
    await credits.hold(
        tx,
        organization_id=turn.caller.organization_id,
        reference=turn.hold_reference,
        amount=turn.meter.held,
        expires_in=timedelta(seconds=turn.time_limit) + _HOLD_MARGIN,
    )


def _time_limit(settings: Settings, request: ChatRequest) -> float:
    return settings.chat_stream_timeout_seconds if request.stream else settings.chat_turn_timeout_seconds


def _route(settings: Settings, model: PricedModel) -> ModelRoute:
    """Where a chat model runs.

    Raises:
        ProviderError: its entry in the catalog names an upstream that the operator has not configured.
    """
    name = model.upstream_model or model.name
    if model.upstream is None:
        default = Upstream(settings.llm_base_url, settings.llm_api_key.get_secret_value())
        return ModelRoute(default, name, model.max_output_tokens)
    upstream = settings.llm_upstreams.get(model.upstream)
    if upstream is None:
        raise ProviderError(f"The model {model.name} names an upstream that is not configured: {model.upstream}")
    return ModelRoute(Upstream(upstream.base_url, upstream.api_key.get_secret_value()), name, model.max_output_tokens)


def _refuse_same_names(context: RunContext, agent: AgentDefinition) -> None:
    """A client's tool must not have the name of one of the agent's own: nobody could tell whose is called."""
    answering = answering_agent(agent)
    own = tools_of(context, answering) if answering else {}
    for tool in context.client_tools:
        name = tool["function"]["name"]
        if name in own:
            raise InvalidRequestError(f"tools: {name} is one of the agent's own tools", param="tools")


async def _server_tools(
    tx: Transaction,
    resources: Resources,
    caller: Caller,
    session: LeasedSession,
    agent: AgentDefinition,
    idempotent: IdempotentRequest | None,
) -> Mapping[str, ServerTool]:
    """The tools that the agent or one below it uses, bound to this turn."""
    if not any(REPLICATE_GENERATE in used.tools for used in agent.tree()):
        return {}
    tool = ReplicateGenerate(
        database=resources.database,
        queue=resources.queue,
        settings=resources.settings,
        urls=FileUrls(resources.store, resources.settings.public_url),
        models=await catalog.list_generation_models(tx),
        organization_id=caller.organization_id,
        user_id=caller.user_id,
        session_id=session.id,
        turn_id=session.turn_id,
        request_key=idempotent.digest if idempotent else None,
    )
    return {tool.name: tool}
