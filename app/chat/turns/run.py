import asyncio
import logging
from functools import partial
from time import monotonic
from typing import Final

from app.agents.runtime.events import Finished
from app.chat.turns.admit import TurnAdmission
from app.chat.turns.deltas import Deltas
from app.chat.turns.ending import TurnEnding
from app.chat.turns.leases import keep_leases
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnResult
from app.chat.turns.settling import SettlingTurns
from app.chat.turns.turn import AdmittedTurn
from app.core.body_budget import held_body_var
from app.core.database import Database
from app.core.errors import (
    AppError,
    ProviderError,
    ProviderRateLimitedError,
    ProviderTimeoutError,
    ProviderUnavailableError,
    ServiceUnavailableError,
)
from app.core.metrics import TURN_ERRORS, TURN_SECONDS, TURNS, TURNS_IN_PROGRESS
from app.core.span_names import Attribute, SpanName
from app.core.tracing import Span, begin_span, current, error_type_of, spanning

logger = logging.getLogger(__name__)

_COMPLETED, _FAILED, _ABANDONED, _REPEATED, _REFUSED = (
    TURNS.labels(outcome) for outcome in ("completed", "failed", "abandoned", "repeated", "refused")
)
_SECONDS = {is_streamed: TURN_SECONDS.labels(str(is_streamed).lower()) for is_streamed in (False, True)}

# How long after the end of an answer the client is told that it could not be stored. It goes on being stored.
STORING_SECONDS: Final = 10.0


class RunningTurn:
    """A turn in a task of its own, so that it is charged and stored even if the client has gone.

    `deltas` has the answer as it arrives, `result()` the whole. `is_abandoned` if it was ended because its client had
    gone.
    """

    def __init__(self, turn: AdmittedTurn, settling: SettlingTurns, database: Database) -> None:
        self.turn = turn
        self.deltas = Deltas()
        if not turn.request.is_streamed:
            self.deltas.drop()
        self._settling = settling
        self.is_abandoned = False
        self._renewing = asyncio.create_task(keep_leases(database, turn.session, turn.request.idempotent))
        # Only this task is ever cancelled. The one that stores the turn always runs to its end.
        self._answering = asyncio.create_task(self._answer(), name=turn.id)
        self.task = asyncio.create_task(self._run(), name=turn.id)

    @property
    def has_failed(self) -> bool:
        """Whether the turn has ended without an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    async def result(self) -> TurnResult:
        """The result, once the turn is charged and stored.

        Raises:
            ServiceUnavailableError: it could not be stored in time.
            AppError: the turn failed.
        """
        try:
            return await asyncio.shield(self.task)
        except AppError:
            raise
        except Exception as error:  # a defect of this program, reported to the client as an internal error
            # It is logged by `Turns`, which sees every turn end.
            raise AppError from error

    async def ended(self) -> None:
        """Wait until the turn has ended, with or without an answer."""
        await asyncio.wait({self.task})

    def abandon(self) -> None:
        """The client has gone: end the turn, unless it outlives its client, who may ask for its result later."""
        if self.turn.request.outlives_client:
            self.deltas.drop()
        else:
            self.give_up()

    def give_up(self) -> None:
        """Nobody wants the turn any more: end it, also one that outlives its client."""
        self.deltas.drop()
        self.is_abandoned = True
        self.interrupt()

    def stop(self) -> None:
        """This process is stopping: end the turn, or leave it to another process."""
        if lasting := self.turn.request.lasting:
            lasting.stop()
        self.interrupt()

    def interrupt(self) -> None:
        """End the model call. Does nothing if the turn already has its answer."""
        self._answering.cancel()

    async def _run(self) -> TurnResult:
        try:
            answer = await self._answered()
        except BaseException as error:  # raised again once the turn is stored
            self._forbid_retries(error)
            await self._flush()
            await self._stored(TurnEnding.cut_short(self.turn, error, is_fault=not self.is_abandoned))
            raise
        else:
            await self._flush()
            return _result_of(await self._stored(TurnEnding.answered(self.turn, answer)))
        finally:
            self.deltas.end()

    async def _flush(self) -> None:
        """Have what was said stored, if that is done while it is said."""
        if self.turn.request.lasting:
            self.deltas.end()
            await self.turn.request.lasting.flush()

    async def _stored(self, ending: TurnEnding) -> asyncio.Task[TurnResult | None]:
        """Begin to store the end of the turn, and wait until that is done, or for as long as the client can wait."""
        storing = self._settling.begin(ending)
        # Without this object, which knows the whole conversation and is not needed any more.
        renewing = self._renewing
        storing.add_done_callback(lambda _: renewing.cancel())
        await asyncio.wait({storing}, timeout=STORING_SECONDS)
        return storing

    async def _answered(self) -> Finished:
        try:
            return await self._answering
        except asyncio.CancelledError:
            # The client has gone, or the server is shutting down.
            raise ServiceUnavailableError from None

    async def _answer(self) -> Finished:
        turn = self.turn
        try:
            async with asyncio.timeout(turn.time_limit):
                return await turn.runner.start(turn.prepared, self.deltas.put)
        except TimeoutError as error:
            raise ProviderTimeoutError from error
        except ProviderUnavailableError as error:
            if turn.meter.was_used:
                # Something of the turn has run, so that it must not be repeated as if it had not.
                raise ProviderError from error
            raise

    def _forbid_retries(self, error: BaseException) -> None:
        """Keep SDKs from retrying by themselves if something may have run already: it would run a second time."""
        meter = self.turn.meter
        if isinstance(error, ProviderRateLimitedError | ProviderUnavailableError):
            # The call that the provider refused has not run, but calls before it may have.
            error.retryable = error.retryable and not meter.was_used
        elif isinstance(error, AppError):
            error.retryable = error.retryable and not meter.was_opened


class Turns:
    """Begins turns, and knows those that are running in this process."""

    def __init__(self, admission: TurnAdmission, settling: SettlingTurns, database: Database) -> None:
        self._admission = admission
        self._settling = settling
        self._database = database
        self._running: dict[asyncio.Task[TurnResult], RunningTurn] = {}
        self._give_up_at: float | None = None

    async def begin(self, request: TurnRequest) -> RunningTurn | TurnResult:
        """Admit a turn and let it run.

        Returns:
            The running turn, or the stored result if the request has an Idempotency-Key and has run before.

        Raises:
            AppError: the request is refused; see `TurnAdmission.admit`.
        """
        try:
            with spanning(SpanName.ADMIT):
                admitted = await self._admission.admit(request)
        except AppError as error:
            _REFUSED.inc()
            TURN_ERRORS.labels(error.code).inc()
            raise
        if isinstance(admitted, TurnResult):
            _REPEATED.inc()
            return admitted
        return self._start(admitted)

    async def drain(self) -> None:
        """End every turn, also those that begin later. Each is charged and stored, and its client gets an error.

        It may be called again. Altogether it takes little more than `STORING_SECONDS`, even if Postgres is away.
        """
        if self._give_up_at is None:
            self._give_up_at = monotonic() + STORING_SECONDS
        for running in self._running.values():
            running.stop()
        if self._running:
            await asyncio.wait(self._running)
        await self._settling.drain(max(0, self._give_up_at - monotonic()))

    def _start(self, turn: AdmittedTurn) -> RunningTurn:
        span = _begin_span(turn)
        # Its tasks are within the span, also after the request's own has ended.
        with current(span):
            running = RunningTurn(turn, self._settling, self._database)
        self._running[running.task] = running
        TURNS_IN_PROGRESS.inc()
        running.task.add_done_callback(self._forget)
        if span is not None:
            running.task.add_done_callback(partial(_end_span, span, running))
        _keep_body(running.task)
        if self._give_up_at is not None:
            running.stop()
        return running

    def _forget(self, task: asyncio.Task[TurnResult]) -> None:
        TURNS_IN_PROGRESS.dec()
        if running := self._running.pop(task, None):
            _count(running)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, AppError):
            logger.error("turn_failed", exc_info=error, extra={"turn_id": task.get_name()})


def _begin_span(turn: AdmittedTurn) -> Span | None:
    of = turn.attribution
    return begin_span(
        SpanName.TURN,
        {
            Attribute.TURN: turn.id,
            Attribute.ORGANIZATION: of.organization_id,
            Attribute.API_KEY: of.api_key_id,
            Attribute.GEN_AI_AGENT: of.agent,
            Attribute.GEN_AI_CONVERSATION: str(of.session_id),
            Attribute.GEN_AI_STREAM: turn.request.is_streamed,
        },
    )


def _end_span(span: Span, ended: RunningTurn, task: asyncio.Task[TurnResult]) -> None:
    usage = ended.turn.meter.usage
    span.set(
        {
            Attribute.GEN_AI_INPUT_TOKENS: usage.prompt_tokens,
            Attribute.GEN_AI_OUTPUT_TOKENS: usage.completion_tokens,
        }
    )
    if ended.is_abandoned:
        span.fail("abandoned")
    elif ended.has_failed:
        span.fail("cancelled" if task.cancelled() else error_type_of(task.exception() or AppError()))
    span.end()


def _count(ended: RunningTurn) -> None:
    """Count a turn that has ended."""
    if not ended.has_failed:
        _COMPLETED.inc()
        _SECONDS[ended.turn.request.is_streamed].observe(monotonic() - ended.turn.asked_at)
    elif ended.is_abandoned:
        _ABANDONED.inc()
    else:
        _FAILED.inc()
        error = None if ended.task.cancelled() else ended.task.exception()
        TURN_ERRORS.labels(error.code if isinstance(error, AppError) else AppError.code).inc()


def _keep_body(task: asyncio.Task[TurnResult]) -> None:
    """Count the request's body for as long as the turn runs: its client may have gone before."""
    if held := held_body_var.get():
        held.keep()
        task.add_done_callback(lambda _: held.let_go())


def _result_of(storing: asyncio.Task[TurnResult | None]) -> TurnResult:
    """The result of a turn with an answer.

    Raises:
        ServiceUnavailableError: it is not stored yet, or will never be.
        AppError: it cannot be stored.
    """
    is_given_up = storing.cancelled() or (storing.done() and isinstance(storing.exception(), ServiceUnavailableError))
    if is_given_up or not storing.done():
        late = ServiceUnavailableError("The answer could not be stored in time")
        # The answer has been made and will be charged.
        late.retryable = False
        raise late
    result = storing.result()
    if result is None:
        raise AppError
    return result
