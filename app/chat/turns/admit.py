import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from time import monotonic

from app.agents.definition import AgentDefinition
from app.agents.runtime.agent_run import AgentRun
from app.agents.runtime.model_calls import ModelCalls
from app.agents.runtime.runner import AgentRunner
from app.agents.runtime.toolset import refuse_taken_names, refuse_unoffered_choice
from app.agents.tools.protocol import ToolTurn
from app.catalog.service import PricedModel
from app.chat.turns import repository
from app.chat.turns.files import refuse_unreadable_files
from app.chat.turns.meter import TurnMeter
from app.chat.turns.repository import Admission, Batch, Statements
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnIdentity, TurnResult
from app.chat.turns.setups import TurnSetup, TurnSetups
from app.chat.turns.turn import AdmittedTurn, hold_reference
from app.chat.turns.turn_policy import TurnPolicy
from app.chat_models.protocol import ChatModelClient
from app.core.attribution import Attribution
from app.core.clock import now
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError, ServiceUnavailableError
from app.core.group_commit import GroupCommit
from app.core.request_context import request_id_var, traceparent_var
from app.credits import service as credits
from app.credits.counting import count_hold, count_refusal
from app.credits.errors import InsufficientCreditsError
from app.credits.models import EventKind
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
# Of one request. Nobody changes agents or prices so often.
_MOST_OUTDATED = 5


class _OutdatedSetupError(Exception):
    """An agent, a model or a price has changed since the setup was read. Nothing is stored."""


class TurnAdmission:
    """Admits turns, or finds the result of a turn that the same request has had before."""

    def __init__(
        self, database: Database, chat_models: ChatModelClient, setups: TurnSetups, policy: TurnPolicy
    ) -> None:
        self._database = database
        self._chat_models = chat_models
        self._setups = setups
        self._policy = policy
        self._admitting = GroupCommit(self._admit_all, self._admit_one)

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
        outdated = 0
        while True:
            try:
                if request.begins_conversation:
                    return _counted(await self._admit_new(request, turn_id, asked_at))
                return _counted(await self._admit_in_transaction(request, turn_id, asked_at))
            except InsufficientCreditsError:
                count_refusal(EventKind.MODEL_CALL)
                raise
            except _OutdatedSetupError:
                self._setups.forget(request.owner.organization_id, request.target)
                outdated += 1
                if outdated > _MOST_OUTDATED:
                    raise ServiceUnavailableError(retry_after=1) from None
                continue
            except SessionBusyError:
                if monotonic() > asked_at + _BUSY_PATIENCE_SECONDS:
                    raise
            await asyncio.sleep(_BUSY_PAUSE_SECONDS)

    async def _admit_new(self, request: TurnRequest, turn_id: str, asked_at: float) -> AdmittedTurn:
        """Admit a turn that begins a session, together with others that do so at the same time."""
        organization_id = request.owner.organization_id
        setup = await self._setups.get(organization_id, request.target)
        session = sessions.begin_new(turn_id)
        continuation = await sessions.begin_conversation(request.messages)
        batch = Batch(organization_id, setup.version, setup.valid_until)
        async with _refusing_by_what_is_current(self._database, batch):
            turn = await self._prepare(request, setup, session, continuation, asked_at)
        admission = await _admission_of(turn, begins_session=True)
        await self._admitting.submit(batch, admission)
        return turn

    async def _admit_all(self, batch: Batch, admissions: Sequence[Admission]) -> Sequence[None] | None:
        is_admitted = await repository.admit(self._database, batch, admissions)
        return [None] * len(admissions) if is_admitted else None

    async def _admit_one(self, batch: Batch, admission: Admission) -> None:
        await _admit(self._database, batch, admission)

    async def _admit_in_transaction(
        self, request: TurnRequest, turn_id: str, asked_at: float
    ) -> AdmittedTurn | TurnResult:
        """Admit a turn that has an Idempotency-Key, or continues a session."""
        owner = request.owner
        async with self._database.transaction() as tx:
            claim = await _claim(tx, request, turn_id)
            if isinstance(claim, TurnResult):
                return claim
            setup = await self._setups.get(owner.organization_id, request.target, tx=tx)
            session = await sessions.begin_turn(
                tx,
                SessionOwner(owner.organization_id, owner.user_id, owner.api_key_id),
                turn_id,
                session_name=request.session_name,
                conversation_name=request.conversation_name,
            )
            continuation = await sessions.continue_session(tx, session, request.messages)
            batch = Batch(owner.organization_id, setup.version, setup.valid_until)
            async with _refusing_by_what_is_current(tx, batch):
                turn = await self._prepare(request, setup, session, continuation, asked_at)
            admission = await _admission_of(turn, begins_session=False)
            await _supersede_former_run(tx, turn, claim)
            await _admit(tx, batch, admission)
            return turn

    async def _prepare(
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
        meter = self._meter(request.owner.organization_id, session, setup.models)
        time_limit = self._policy.time_limit(is_streamed=request.is_streamed)
        model_calls = ModelCalls(self._chat_models, setup.routes, meter, time_limit, self._policy.patience)
        tool_turn = _tool_turn(request, attribution)
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
            hold_expires_at=monotonic() + time_limit + _HOLD_MARGIN_SECONDS,
            attribution=attribution,
            session=session,
            asked=continuation.asked,
            superseded=continuation.superseded,
            prepared=runner.prepare(run),
            runner=runner,
            meter=meter,
            generations=tool_turn.generations,
        )

    def _meter(self, organization_id: str, session: LeasedSession, models: Mapping[str, PricedModel]) -> TurnMeter:
        return TurnMeter(
            self._database,
            organization_id=organization_id,
            reference=hold_reference(session.turn_id),
            models=models,
            image_tokens=self._policy.image_tokens,
        )


def _counted(admitted: AdmittedTurn | TurnResult) -> AdmittedTurn | TurnResult:
    if isinstance(admitted, AdmittedTurn):
        count_hold(EventKind.MODEL_CALL, admitted.run.agent.model, admitted.meter.held)
    return admitted


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


async def _admission_of(turn: AdmittedTurn, *, begins_session: bool) -> Admission:
    """What the turn asks for: the most that its first call can cost, and its session if that is a new one."""
    calls_opened = 0
    if turn.prepared.first_body is not None:
        # To write the body, and to measure it, may each take long.
        await asyncio.sleep(0)
        turn.meter.expect_call(turn.run.agent.name, turn.run.agent.model, turn.prepared.first_body)
        calls_opened = 1
    return Admission(
        attribution=turn.attribution,
        reference=hold_reference(turn.id),
        amount=turn.meter.held,
        expires_in=timedelta(seconds=turn.time_limit + _HOLD_MARGIN_SECONDS),
        calls_opened=calls_opened,
        session_name=turn.session.public_id if begins_session else None,
    )


async def _supersede_former_run(tx: Transaction, turn: AdmittedTurn, claim: Claim | None) -> None:
    """Only one run of a request is charged. The former one may go on to its end without knowing of this one."""
    if claim is not None and claim.former_hold_reference is not None:
        await credits.supersede(
            tx,
            organization_id=turn.attribution.organization_id,
            reference=claim.former_hold_reference,
            by_reference=hold_reference(turn.id),
        )


@asynccontextmanager
async def _refusing_by_what_is_current(run: Statements, batch: Batch) -> AsyncIterator[None]:
    """Let a refusal pass only if what it is about is still so. Nothing else would compare the version then.

    Raises:
        _OutdatedSetupError: it has changed.
    """
    try:
        yield
    except InvalidRequestError as refusal:
        if not await repository.is_current(run, batch):
            raise _OutdatedSetupError from refusal
        raise


async def _admit(run: Statements, batch: Batch, admission: Admission) -> None:
    """Admit one turn.

    Raises:
        InsufficientCreditsError: less than it asks for is available.
    """
    if await repository.admit(run, batch, [admission]):
        return
    if await repository.is_current(run, batch):
        raise InsufficientCreditsError
    raise _OutdatedSetupError
