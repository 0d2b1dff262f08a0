import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

from app.agents import service as agents
from app.agents.definition import AgentDefinition, AgentType
from app.agents.runtime.context import RunContext
from app.agents.runtime.events import Finished
from app.agents.runtime.llm import first_body
from app.agents.tools.names import REPLICATE_GENERATE
from app.agents.tools.protocol import ServerTool
from app.agents.tools.replicate_generate import ReplicateGenerate
from app.api_keys.caller import Caller
from app.catalog import service as catalog
from app.chat.meter import TurnMeter
from app.chat.schemas import ChatRequest
from app.chat_models.protocol import JsonObject, Upstream, Usage
from app.content import service as content
from app.content.service import ContentWithOutputs
from app.content.urls import FileUrls
from app.core.clock import now
from app.core.crypto import new_id
from app.core.database import Transaction
from app.credits import service as credits
from app.idempotency import service as idempotency
from app.idempotency.service import IdempotentRequest
from app.resources import Resources
from app.sessions import service as sessions
from app.sessions.errors import SessionBusyError
from app.sessions.service import LeasedSession

_BUSY_PATIENCE_SECONDS = 5.0
_BUSY_PAUSE_SECONDS = 0.1
# How long after the latest end of a turn its hold is taken for a crash's.
_HOLD_MARGIN = timedelta(seconds=60)


@dataclass(frozen=True)
class OpenTurn:
    """A turn that has been admitted: its session is leased, and its first model call is paid for.

    `new_messages` are the client's; `messages` are the session's history with them at its end.
    """

    id: str
    caller: Caller
    created_at: datetime
    time_limit: float
    session: LeasedSession
    agent: AgentDefinition
    new_messages: Sequence[JsonObject]
    messages: Sequence[JsonObject]
    context: RunContext
    meter: TurnMeter
    idempotent: IdempotentRequest | None


@dataclass(frozen=True)
class TurnResult:
    """A turn that has ended well: its answer, its tokens, and what it had made."""

    answer: Finished
    usage: Usage
    contents: Sequence[ContentWithOutputs]


@dataclass(frozen=True)
class Replay:
    """The answer that the same request was given before."""

    answer: JsonObject


async def open_turn(
    resources: Resources, caller: Caller, request: ChatRequest, idempotent: IdempotentRequest | None
) -> OpenTurn | Replay:
    """Admit a turn of the organization's orchestrator, in one transaction; wait a while for a busy session.

    Raises:
        AgentNotFoundError, AgentInactiveError, SessionNotFoundError, SessionBusyError, ModelNotPricedError,
        InsufficientCreditsError, IdempotencyKeyInProgressError, IdempotencyKeyReusedError: nothing has been started,
            held or stored.
    """
    give_up_at = monotonic() + _BUSY_PATIENCE_SECONDS
    while True:
        try:
            async with resources.database.transaction() as tx:
                if idempotent and (answer := await idempotency.claim(tx, idempotent)):
                    return Replay(answer)
                return await _open_turn(tx, resources, caller, request, idempotent)
        except SessionBusyError:
            if monotonic() > give_up_at:
                raise
        await asyncio.sleep(_BUSY_PAUSE_SECONDS)


async def complete_turn(
    resources: Resources, turn: OpenTurn, answer: Finished, render: Callable[[OpenTurn, TurnResult], JsonObject]
) -> TurnResult:
    """Charge the turn, store what was said, free its session and keep its answer for a repeat, in one transaction."""
    async with resources.database.transaction() as tx:
        await _store_messages(tx, turn, failed=False)
        contents = await content.list_of_turn(tx, turn.caller.organization_id, turn.id)
        result = TurnResult(answer, turn.meter.usage, contents)
        # Where another run has taken the key over, that one is charged and not this one.
        is_ours = not turn.idempotent or await idempotency.answer(tx, turn.idempotent, render(turn, result))
        await _settle(tx, turn, is_charged=is_ours)
    return result


async def fail_turn(resources: Resources, turn: OpenTurn, *, is_fault: bool) -> None:
    """Charge what was delivered, store what was said, and free the session and the key, in one transaction.

    Args:
        resources: what the process talks to.
        turn: the turn.
        is_fault: whether it went wrong; it did not where the client left.
    """
    async with resources.database.transaction() as tx:
        await _store_messages(tx, turn, failed=is_fault)
        if turn.idempotent:
            await idempotency.release(tx, turn.idempotent)
        await _settle(tx, turn, is_charged=True)


async def renew_turn(resources: Resources, turn: OpenTurn) -> None:
    """Keep the turn's session and key while the turn goes on."""
    async with resources.database.transaction() as tx:
        await sessions.renew_turn(tx, turn.session)
        if turn.idempotent:
            await idempotency.renew(tx, turn.idempotent)


async def _store_messages(tx: Transaction, turn: OpenTurn, *, failed: bool) -> None:
    messages = [*((None, message) for message in turn.new_messages), *turn.context.transcript]
    await sessions.end_turn(tx, turn.session, messages, failed=failed)


async def _settle(tx: Transaction, turn: OpenTurn, *, is_charged: bool) -> None:
    organization_id, reference = turn.caller.organization_id, _hold_reference(turn.id)
    if is_charged and turn.meter.was_used:
        cost, name = turn.meter.cost, turn.agent.name
        await credits.settle(tx, organization_id=organization_id, reference=reference, cost=cost, description=name)
    else:
        await credits.void(tx, organization_id=organization_id, reference=reference)


async def _open_turn(
    tx: Transaction,
    resources: Resources,
    caller: Caller,
    request: ChatRequest,
    idempotent: IdempotentRequest | None,
) -> OpenTurn:
    settings = resources.settings
    turn_id = new_id("turn")
    time_limit = settings.chat_stream_timeout_seconds if request.stream else settings.chat_turn_timeout_seconds
    agent = await agents.get_orchestrator(tx, caller.organization_id, settings.llm_model)
    session = await sessions.begin_turn(
        tx, caller, turn_id, session_id=request.session_id, conversation_id=request.conversation_id
    )
    meter = TurnMeter(
        resources.database,
        organization_id=caller.organization_id,
        reference=_hold_reference(turn_id),
        models={name: await catalog.get_chat_model(tx, name) for name in agent.models()},
        image_tokens=settings.image_prompt_tokens,
    )
    context = RunContext(
        chat_models=resources.chat_models,
        upstream=Upstream(settings.llm_base_url, settings.llm_api_key.get_secret_value()),
        meter=meter,
        parameters=request.parameters(),
        client_tools=request.tools or [],
        server_tools=await _server_tools(tx, resources, caller, session, agent),
        is_streamed=bool(request.stream),
        timeout=time_limit,
    )
    new_messages = request.wire_messages()
    messages = [*await sessions.load_history(tx, session), *new_messages]
    if agent.agent_type is AgentType.LLM:
        meter.expect_call(agent.model, first_body(context, agent, messages))
    await credits.hold(
        tx,
        organization_id=caller.organization_id,
        reference=_hold_reference(turn_id),
        amount=meter.held,
        expires_at=now() + timedelta(seconds=time_limit) + _HOLD_MARGIN,
    )
    return OpenTurn(
        turn_id, caller, now(), time_limit, session, agent, new_messages, messages, context, meter, idempotent
    )


async def _server_tools(
    tx: Transaction, resources: Resources, caller: Caller, session: LeasedSession, agent: AgentDefinition
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
    )
    return {tool.name: tool}


def _hold_reference(turn_id: str) -> str:
    """How the credits call a turn."""
    return f"turn:{turn_id}"
