import asyncio
from collections.abc import Mapping
from datetime import timedelta
from time import monotonic

from app.agents.definition import AgentDefinition
from app.agents.runtime.agent_run import AgentRun
from app.agents.runtime.model_calls import Meter, ModelCalls
from app.agents.runtime.runner import AgentRunner
from app.agents.runtime.toolset import refuse_taken_names, refuse_unoffered_choice
from app.agents.tools.protocol import ToolTurn
from app.agents.tools.registry import ToolRegistry
from app.catalog import service as catalog
from app.catalog.service import PricedModel
from app.chat.turns.files import refuse_unreadable_files
from app.chat.turns.meter import TurnMeter
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat.turns.targets import find_agent
from app.chat.turns.turn import AdmittedTurn, hold_reference
from app.chat.turns.turn_policy import TurnPolicy
from app.chat.turns.upstreams import Upstreams
from app.chat_models.protocol import ChatModelClient
from app.core.attribution import Attribution
from app.core.clock import now
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.core.request_context import request_id_var, traceparent_var
from app.credits import service as credits
from app.idempotency import service as idempotency
from app.idempotency.claim import Claim
from app.sessions import service as sessions
from app.sessions.continuation import Continuation
from app.sessions.errors import SessionBusyError
from app.sessions.history import with_all_results, with_recent, without_old_thoughts
from app.sessions.lease import LeasedSession, SessionOwner

_BUSY_PATIENCE_SECONDS = 5.0
_BUSY_PAUSE_SECONDS = 0.1
# If a hold still exists so long after the time limit of its turn, the turn's process has crashed.
_HOLD_MARGIN_SECONDS = 60.0


class TurnAdmission:
    """Admits turns, or finds the result of a turn that the same request has had before."""

    def __init__(
        self,
        database: Database,
        chat_models: ChatModelClient,
        upstreams: Upstreams,
        tools: ToolRegistry,
        policy: TurnPolicy,
    ) -> None:
        self._database = database
        self._chat_models = chat_models
        self._upstreams = upstreams
        self._tools = tools
        self._policy = policy

    async def admit(self, request: TurnRequest) -> AdmittedTurn | TurnResult:
        """Admit a turn in one transaction. If its session is busy, try again for five seconds.

        Returns:
            The turn, or the stored result if the request has an Idempotency-Key and has run before.

        Raises:
            AgentNotFoundError, AgentInactiveError, AgentNotInvocableError, SessionNotFoundError, SessionBusyError,
            ModelNotPricedError, ProviderError, InvalidRequestError, InsufficientCreditsError,
            IdempotencyKeyInProgressError, IdempotencyKeyReusedError: the request is refused.
                Nothing has been started, held or stored.
        """
        asked_at = monotonic()
        turn_id = new_id("turn")
        while True:
            try:
                async with self._database.transaction() as tx:
                    claim = await _claim(tx, request, turn_id)
                    if isinstance(claim, TurnResult):
                        return claim
                    turn = await self._admit(tx, request, turn_id, asked_at)
                    await _hold_first_call(tx, turn, claim)
                    return turn
            except SessionBusyError:
                if monotonic() > asked_at + _BUSY_PATIENCE_SECONDS:
                    raise
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)

    async def _admit(self, tx: Transaction, request: TurnRequest, turn_id: str, asked_at: float) -> AdmittedTurn:
        owner = request.owner
        agent = await find_agent(tx, owner.organization_id, request.target, self._policy.default_model)
        session = await sessions.begin_turn(
            tx,
            SessionOwner(owner.organization_id, owner.user_id, owner.api_key_id),
            turn_id,
            session_name=request.session_name,
            conversation_name=request.conversation_name,
        )
        attribution = _attribution(request, agent, session)
        models = {name: await catalog.get_chat_model(tx, name) for name in agent.models()}
        meter = self._meter(owner.organization_id, session, models)
        time_limit = self._policy.time_limit(is_streamed=request.is_streamed)
        model_calls = self._model_calls(models, meter, time_limit)
        tools = await self._tools.bind(tx, _tool_turn(request, attribution), agent.tool_names())
        refuse_taken_names(agent, tools, request.client_tools)
        refuse_unoffered_choice(agent, tools, request.client_tools, request.parameters.get("tool_choice"))
        runner = AgentRunner(model_calls, tools)
        continuation = await sessions.continue_session(tx, session, request.messages)
        run = await _run(request, agent, continuation, _part_tokens(agent, model_calls))
        refuse_unreadable_files(agent, models, request.messages, run.messages)
        return AdmittedTurn(
            identity=_identity(request, session, agent),
            request=request,
            asked_at=asked_at,
            time_limit=time_limit,
            hold_expires_at=monotonic() + time_limit + _HOLD_MARGIN_SECONDS,
            attribution=attribution,
            session=session,
            asked=continuation.asked,
            superseded=continuation.superseded,
            prepared=runner.prepare(run),
            runner=runner,
            meter=meter,
        )

    def _meter(self, organization_id: str, session: LeasedSession, models: Mapping[str, PricedModel]) -> TurnMeter:
        return TurnMeter(
            self._database,
            organization_id=organization_id,
            reference=hold_reference(session.turn_id),
            models=models,
            image_tokens=self._policy.image_tokens,
        )

    def _model_calls(self, models: Mapping[str, PricedModel], meter: Meter, time_limit: float) -> ModelCalls:
        routes = {name: self._upstreams.route(model, self._policy.image_tokens) for name, model in models.items()}
        return ModelCalls(self._chat_models, routes, meter, time_limit, self._policy.patience)


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
        session_id=session.id,
        turn_id=session.turn_id,
        request_id=request_id_var.get(),
        traceparent=traceparent_var.get(),
    )


def _tool_turn(request: TurnRequest, attribution: Attribution) -> ToolTurn:
    return ToolTurn(
        user_id=request.owner.user_id,
        attribution=attribution,
        request_key=request.idempotent.request_key if request.idempotent else None,
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
    messages = with_all_results([*continuation.leading, *recent])
    await asyncio.sleep(0)
    return AgentRun(
        agent=agent,
        messages=[dict(message) for message in messages],
        parameters=request.parameters,
        client_tools=request.client_tools,
        is_streamed=request.is_streamed,
    )


async def _claim(tx: Transaction, request: TurnRequest, turn_id: str) -> Claim | TurnResult | None:
    """The claim on the request's Idempotency-Key, or the result that is stored under it; None without a key."""
    if request.idempotent is None:
        return None
    claimed = await idempotency.claim(tx, request.idempotent, hold_reference=hold_reference(turn_id))
    return claimed if isinstance(claimed, Claim) else TurnResult.from_json(claimed)


async def _hold_first_call(tx: Transaction, turn: AdmittedTurn, claim: Claim | None) -> None:
    if turn.prepared.first_body is not None:
        # To write the body, and to measure it, may each take long.
        await asyncio.sleep(0)
        turn.meter.expect_call(turn.run.agent.name, turn.run.agent.model, turn.prepared.first_body)
    reference = hold_reference(turn.id)
    if claim is not None and claim.former_hold_reference is not None:
        # Only one run of a request is charged. The former one may go on to its end without knowing of this one.
        await credits.supersede(
            tx,
            organization_id=turn.attribution.organization_id,
            reference=claim.former_hold_reference,
            by_reference=reference,
        )
    await credits.hold(
        tx,
        turn.attribution,
        reference=reference,
        amount=turn.meter.held,
        expires_in=timedelta(seconds=turn.time_limit + _HOLD_MARGIN_SECONDS),
        calls_opened=1 if turn.prepared.first_body is not None else 0,
    )
