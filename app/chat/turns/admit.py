import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from time import monotonic

from app.chat.turns import repository
from app.chat.turns.lasting import ACCEPTED, AcceptedBeforeError
from app.chat.turns.prepare import HOLD_MARGIN_SECONDS, TurnPreparation
from app.chat.turns.repository import Admission, Batch
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnResult
from app.chat.turns.setups import TurnSetup, TurnSetups
from app.chat.turns.turn import AdmittedTurn, hold_reference
from app.core.crypto import new_id
from app.core.database import Database, Transaction
from app.core.errors import AppError, InvalidRequestError, ServiceUnavailableError
from app.core.group_commit import GroupCommit
from app.core.statements import Statements
from app.credits import service as credits
from app.credits.counting import count_hold, count_refusal
from app.credits.errors import InsufficientCreditsError, MaxCreditsReachedError
from app.credits.max_credits import lesser
from app.credits.models import EventKind
from app.idempotency import service as idempotency
from app.idempotency.claim import Claim
from app.sessions import service as sessions
from app.sessions.continuation import Continuation
from app.sessions.errors import SessionBusyError
from app.sessions.lease import LeasedSession, SessionOwner

_BUSY_PATIENCE_SECONDS = 5.0
_BUSY_PAUSE_SECONDS = 0.1
# Of one request. Nobody changes agents or prices so often.
_MOST_OUTDATED = 5


class _OutdatedSetupError(Exception):
    """An agent, a model or a price has changed since the setup was read. Nothing is stored."""


class TurnAdmission:
    """Admits turns, or finds the result of a turn that the same request has had before."""

    def __init__(self, database: Database, setups: TurnSetups, preparation: TurnPreparation) -> None:
        self._database = database
        self._setups = setups
        self._preparation = preparation
        self._admitting = GroupCommit(self._admit_all, self._admit_one)

    async def admit(self, request: TurnRequest) -> AdmittedTurn | TurnResult:
        """Admit a turn. If its session is busy, try again for five seconds.

        Returns:
            The turn, or the stored result if the request has an Idempotency-Key and has run before.

        Raises:
            AgentNotFoundError, AgentInactiveError, AgentNotInvocableError, SessionNotFoundError, SessionBusyError,
            ModelNotPricedError, ProviderError, InvalidRequestError, InsufficientCreditsError, MaxCreditsReachedError,
            IdempotencyKeyInProgressError, IdempotencyKeyReusedError: the request is refused.
                Nothing has been started, held or stored.
            AcceptedBeforeError, LostTurnError: there is nothing to do for a turn that is to outlast its process.
        """
        asked_at = monotonic()
        turn_id = new_id("turn")
        outdated = 0
        while True:
            try:
                return _counted(await self._admit(request, turn_id, asked_at))
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

    async def _admit(self, request: TurnRequest, turn_id: str, asked_at: float) -> AdmittedTurn | TurnResult:
        """Admit a turn in the shortest way that is known to be right for it."""
        names_session = request.session_name is not None or request.conversation_name is not None
        turn = None
        if request.past is not None or request.lasting is not None:
            return await self._admit_in_transaction(request, turn_id, asked_at)
        if request.idempotent is None:
            admit = self._admit_continuing if names_session else self._admit_new
            turn = await admit(request, turn_id, asked_at)
        elif not names_session:
            turn = await self._admit_once(request, turn_id, asked_at)
        return turn or await self._admit_in_transaction(request, turn_id, asked_at)

    async def _admit_once(self, request: TurnRequest, turn_id: str, asked_at: float) -> AdmittedTurn | None:
        """Admit a turn that begins a session, and whose Idempotency-Key nobody has used.

        None if it is not admitted: there may be a response that is stored for it, whatever else is wrong with it.
        """
        try:
            return await self._admit_new(request, turn_id, asked_at)
        except ServiceUnavailableError:
            raise
        except (AppError, _OutdatedSetupError):
            return None

    async def _admit_new(self, request: TurnRequest, turn_id: str, asked_at: float) -> AdmittedTurn:
        """Admit a turn that begins a session, or has none, together with others at the same time."""
        setup = await self._setups.get(request.owner.organization_id, request.target)
        session = sessions.begin_unstored(turn_id) if request.is_unkept else sessions.begin_new(turn_id)
        continuation = await sessions.begin_conversation(request.messages)
        begins_session = session.is_stored
        return await self._admit_together(
            request, setup, session, continuation, asked_at, begins_session=begins_session
        )

    async def _admit_continuing(self, request: TurnRequest, turn_id: str, asked_at: float) -> AdmittedTurn | None:
        """Admit a turn that continues a session which is free, together with others at the same time.

        None if there is no such session, or it is busy.
        """
        setup = await self._setups.get(request.owner.organization_id, request.target)
        name = request.session_name or request.conversation_name or ""
        leased = await sessions.lease_to_continue(
            self._database, _session_owner(request), turn_id, name, request.messages
        )
        if leased is None:
            return None
        session, continuation = leased
        try:
            return await self._admit_together(request, setup, session, continuation, asked_at, begins_session=False)
        except BaseException:  # raised again
            await sessions.give_back(self._database, session)
            raise

    async def _admit_together(
        self,
        request: TurnRequest,
        setup: TurnSetup,
        session: LeasedSession,
        continuation: Continuation,
        asked_at: float,
        *,
        begins_session: bool,
    ) -> AdmittedTurn:
        has_key = request.idempotent is not None
        batch = Batch(request.owner.organization_id, setup.version, setup.valid_until, has_key)
        async with _refusing_by_what_is_current(self._database, batch):
            turn = await self._preparation.prepare(request, setup, session, continuation, asked_at)
            admission = await _admission_of(turn, begins_session=begins_session)
        await self._admitting.submit(batch, replace(admission, claims=request.idempotent))
        return turn

    async def _admit_all(self, batch: Batch, admissions: Sequence[Admission]) -> Sequence[None] | None:
        is_admitted = await repository.admit(self._database, batch, admissions)
        return [None] * len(admissions) if is_admitted else None

    async def _admit_one(self, batch: Batch, admission: Admission) -> None:
        await _admit(self._database, batch, admission)

    async def _admit_in_transaction(
        self, request: TurnRequest, turn_id: str, asked_at: float
    ) -> AdmittedTurn | TurnResult:
        """Admit a turn whose key may have been used, or whose session may be busy or may have to begin."""
        owner = request.owner
        async with self._database.transaction() as tx:
            if request.lasting:
                await request.lasting.begin(tx)
            claim = await _claim(tx, request, turn_id)
            if isinstance(claim, TurnResult):
                return claim
            setup = await self._setups.get(owner.organization_id, request.target, tx=tx)
            session, continuation = await _session_of(tx, request, turn_id)
            batch = Batch(owner.organization_id, setup.version, setup.valid_until)
            async with _refusing_by_what_is_current(tx, batch):
                turn = await self._preparation.prepare(request, setup, session, continuation, asked_at)
                await _supersede_former_run(tx, turn, claim)
                admission = await _admission_of(turn, begins_session=False)
            await _admit(tx, batch, admission)
            return await _written_down(tx, turn)


def _counted(admitted: AdmittedTurn | TurnResult) -> AdmittedTurn | TurnResult:
    if isinstance(admitted, AdmittedTurn):
        count_hold(EventKind.MODEL_CALL, admitted.run.agent.model, admitted.meter.held)
    return admitted


def _session_owner(request: TurnRequest) -> SessionOwner:
    owner = request.owner
    return SessionOwner(owner.organization_id, owner.user_id, owner.api_key_id)


async def _session_of(tx: Transaction, request: TurnRequest, turn_id: str) -> tuple[LeasedSession, Continuation]:
    """The session that the turn continues or begins, and how its messages go on there."""
    owner, past, sent = _session_owner(request), request.past, request.messages
    if request.is_unkept:
        read = sessions.begin_conversation(sent) if past is None else sessions.read_after(tx, past, sent)
        return sessions.begin_unstored(turn_id), await read
    if past is not None:
        return await sessions.continue_after(tx, owner, turn_id, past, sent)
    session = await sessions.begin_turn(
        tx, owner, turn_id, session_name=request.session_name, conversation_name=request.conversation_name
    )
    return session, await sessions.continue_session(tx, session, sent)


async def _claim(tx: Transaction, request: TurnRequest, turn_id: str) -> Claim | TurnResult | None:
    """The claim on the request's Idempotency-Key, or the result that is stored under it; None without a key."""
    if request.idempotent is None:
        return None
    claimed = await idempotency.claim(tx, request.idempotent, hold_reference=hold_reference(turn_id))
    if not isinstance(claimed, Claim) and ACCEPTED in claimed:
        raise AcceptedBeforeError(claimed[ACCEPTED])
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
        expires_in=timedelta(seconds=turn.time_limit + HOLD_MARGIN_SECONDS),
        calls_opened=calls_opened,
        session_name=turn.session.public_id if begins_session else None,
        most=turn.meter.most,
    )


async def _supersede_former_run(tx: Transaction, turn: AdmittedTurn, claim: Claim | None) -> None:
    """Only one run of a request is charged. The former one may go on to its end without knowing of this one.

    Its generations go on, too, and are charged: they leave less of what the request may cost.
    """
    lasting, organization_id = turn.request.lasting, turn.attribution.organization_id
    former = claim.former_hold_reference if claim else None
    if lasting and lasting.former_turn is not None:
        former = hold_reference(lasting.former_turn)
    if former is not None:
        await credits.supersede(
            tx, organization_id=organization_id, reference=former, by_reference=hold_reference(turn.id)
        )
        turn.meter.most = lesser(turn.meter.most, await credits.find_most(tx, organization_id, former))


async def _written_down(tx: Transaction, turn: AdmittedTurn) -> AdmittedTurn:
    """The turn, written down where other processes find it if it is to outlast this one.

    Its request is answered then: an Idempotency-Key leads to what it was accepted as.
    """
    request = turn.request
    if request.lasting is None:
        return turn
    accepted_id = await request.lasting.admitted(tx, turn.identity, turn.session)
    if request.idempotent:
        await idempotency.store_response(tx, request.idempotent, {ACCEPTED: accepted_id})
    return replace(turn, request=replace(request, idempotent=None))


@asynccontextmanager
async def _refusing_by_what_is_current(run: Statements, batch: Batch) -> AsyncIterator[None]:
    """Let a refusal pass only if what it is about is still so. Nothing else would compare the version then.

    Raises:
        _OutdatedSetupError: it has changed.
    """
    try:
        yield
    except (InvalidRequestError, MaxCreditsReachedError) as refusal:
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
