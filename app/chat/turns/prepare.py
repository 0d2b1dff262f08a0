import asyncio
from collections.abc import Mapping
from time import monotonic

from app.agents.definition import AgentDefinition
from app.agents.runtime.agent_run import AgentRun
from app.agents.runtime.model_calls import ModelCalls
from app.agents.runtime.runner import AgentRunner
from app.agents.runtime.toolset import refuse_taken_names, refuse_unoffered_choice
from app.agents.tools.protocol import ToolTurn
from app.catalog.service import PricedModel
from app.chat.turns.files import refuse_unreadable_files
from app.chat.turns.meter import TurnMeter
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnIdentity
from app.chat.turns.setups import TurnSetup
from app.chat.turns.turn import AdmittedTurn, hold_reference
from app.chat.turns.turn_policy import TurnPolicy
from app.chat_models.protocol import ChatModelClient
from app.core.attribution import Attribution
from app.core.clock import now
from app.core.database import Database
from app.core.request_context import request_id_var, traceparent_var
from app.sessions.continuation import Continuation
from app.sessions.history import with_all_results, with_recent, without_old_thoughts
from app.sessions.lease import LeasedSession

# If a hold still exists so long after the time limit of its turn, the turn's process has crashed.
HOLD_MARGIN_SECONDS = 60.0


class TurnPreparation:
    """Makes turns ready to run. Nothing is asked of Postgres for that."""

    def __init__(self, database: Database, chat_models: ChatModelClient, policy: TurnPolicy) -> None:
        self._database = database
        self._chat_models = chat_models
        self._policy = policy

    async def prepare(
        self,
        request: TurnRequest,
        setup: TurnSetup,
        session: LeasedSession,
        continuation: Continuation,
        asked_at: float,
    ) -> AdmittedTurn:
        """The turn as it will run once it is admitted. Nothing is asked of Postgres for it."""
        agent = setup.agent
        attribution = _attribution(request, agent, session)
        meter = self._meter(request, session, setup.models)
        time_limit = self._policy.time_limit(is_streamed=request.is_streamed or request.lasting is not None)
        model_calls = ModelCalls(self._chat_models, setup.routes, meter, time_limit, self._policy.patience)
        tool_turn = _tool_turn(request, attribution, meter)
        tools = setup.tools.bind(tool_turn)
        refuse_taken_names(agent, tools, request.client_tools)
        refuse_unoffered_choice(agent, tools, request.client_tools, request.parameters.get("tool_choice"))
        runner = AgentRunner(model_calls, tools)
        run = await _run(request, agent, continuation, _part_tokens(agent, model_calls))
        refuse_unreadable_files(agent, setup.models, request.messages, run.messages)
        return AdmittedTurn(
            identity=_identity(request, session, agent),
            request=request,
            asked_at=asked_at,
            time_limit=time_limit,
            hold_expires_at=monotonic() + time_limit + HOLD_MARGIN_SECONDS,
            attribution=attribution,
            session=session,
            asked=continuation.asked,
            superseded=continuation.superseded,
            prepared=runner.prepare(run),
            runner=runner,
            meter=meter,
            generations=tool_turn.generations,
        )

    def _meter(self, request: TurnRequest, session: LeasedSession, models: Mapping[str, PricedModel]) -> TurnMeter:
        return TurnMeter(
            self._database,
            organization_id=request.owner.organization_id,
            reference=hold_reference(session.turn_id),
            models=models,
            image_tokens=self._policy.image_tokens,
            most=request.max_credits,
        )


def _identity(request: TurnRequest, session: LeasedSession, agent: AgentDefinition) -> TurnIdentity:
    return TurnIdentity(
        id=session.turn_id,
        created_at=now(),
        model=request.target.model_of(agent),
        agent_id=request.target.agent_id,
        session_name=session.public_id,
    )


def _attribution(request: TurnRequest, agent: AgentDefinition, session: LeasedSession) -> Attribution:
    # Of the request that is being handled: the turn's own task may outlive it.
    return Attribution(
        organization_id=request.owner.organization_id,
        user_id=request.owner.user_id,
        api_key_id=request.owner.api_key_id,
        agent=agent.name,
        model=agent.model,
        session_id=session.id if session.is_stored else None,
        turn_id=session.turn_id,
        request_id=request_id_var.get(),
        traceparent=traceparent_var.get(),
    )


def _tool_turn(request: TurnRequest, attribution: Attribution, meter: TurnMeter) -> ToolTurn:
    key = request.idempotent.request_key if request.idempotent else None
    if request.lasting:
        key = request.lasting.request_key(attribution.turn_id or "")
    return ToolTurn(
        user_id=request.owner.user_id,
        attribution=attribution,
        request_key=key,
        budget=meter if request.max_credits is not None else None,
    )


def _part_tokens(agent: AgentDefinition, model_calls: ModelCalls) -> dict[str, int]:
    """The most tokens that a part of a message counts as with any model that reads it, by its type."""
    routes = [model_calls.routes[each.model] for each in agent.readers()]
    images, files = [route.image_tokens for route in routes], [route.file_tokens for route in routes]
    return {"image_url": max(images, default=0), "file": max(files, default=0)}


async def _run(
    request: TurnRequest, agent: AgentDefinition, continuation: Continuation, part_tokens: Mapping[str, int]
) -> AgentRun:
    """The agent's run on as much of the history as its settings allow, and on the question."""
    # Each step may take long, so others get their turn between them.
    await asyncio.sleep(0)
    known = without_old_thoughts(continuation.history, continuation.messages)
    recent = with_recent(
        known,
        continuation.messages,
        agent.max_history_tokens,
        first_index=continuation.first_index,
        part_tokens=part_tokens,
    )
    await asyncio.sleep(0)
    told = [{"role": "system", "content": request.instructions}] if request.instructions else []
    messages = with_all_results([*told, *continuation.leading, *recent])
    await asyncio.sleep(0)
    return AgentRun(
        agent=agent,
        messages=[dict(message) for message in messages],
        parameters=request.parameters,
        client_tools=request.client_tools,
        is_streamed=request.is_streamed,
    )
