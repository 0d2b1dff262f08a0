import asyncio
import logging
from contextlib import aclosing

from app.agents.runtime.dispatch import run_agent
from app.agents.runtime.events import Finished
from app.chat.turns.admit import TurnAdmission
from app.chat.turns.deltas import Deltas
from app.chat.turns.request import TurnRequest
from app.chat.turns.result import TurnResult
from app.chat.turns.settle import TurnSettlement
from app.chat.turns.turn import OpenTurn
from app.core.errors import AppError, ProviderRateLimitedError, ProviderTimeoutError, ServiceUnavailableError
from app.credits.errors import InsufficientCreditsError
from app.sessions.lease import TURN_LEASE

logger = logging.getLogger(__name__)


class RunningTurn:
    """A turn in a task of its own, so that it is charged and stored even if the client has gone.

    `deltas` has the answer as it arrives, `result()` the whole.
    """

    def __init__(self, turn: OpenTurn, settlement: TurnSettlement) -> None:
        self.turn = turn
        self.deltas = Deltas()
        if not turn.request.is_streamed:
            self.deltas.drop()
        self._settlement = settlement
        self._is_abandoned = False
        # Only this task is ever cancelled. The one that settles the turn always runs to its end.
        self._answering = asyncio.create_task(self._answer(), name=turn.id)
        self.task = asyncio.create_task(self._run(), name=turn.id)

    @property
    def has_failed(self) -> bool:
        """Whether the turn has ended without an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    async def result(self) -> TurnResult:
        """The result, once the turn is charged and stored.

        Raises:
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
        """The client has gone: end the model call, charge and store what was delivered.

        A turn with an Idempotency-Key goes on, because the client may ask for its result later.
        """
        self.deltas.drop()
        if self.turn.request.idempotent is None:
            self._is_abandoned = True
            self.interrupt()

    def interrupt(self) -> None:
        """End the model call. Does nothing if the turn already has its answer."""
        self._answering.cancel()

    async def _run(self) -> TurnResult:
        renewing = asyncio.create_task(self._renew_leases())
        try:
            return await self._settlement.complete(self.turn, await self._answered())
        except BaseException as error:  # raised again once the turn is settled
            self._forbid_retries(error)
            await self._fail(error)
            raise
        finally:
            renewing.cancel()
            self.deltas.end()

    async def _answered(self) -> Finished:
        try:
            return await self._answering
        except asyncio.CancelledError:
            # The client has gone, or the server is shutting down.
            raise ServiceUnavailableError from None

    async def _answer(self) -> Finished:
        turn = self.turn
        try:
            async with (
                asyncio.timeout(turn.time_limit),
                aclosing(run_agent(turn.context, turn.agent, turn.messages, turn.first_body)) as events,
            ):
                async for event in events:
                    if isinstance(event, Finished):
                        return event
                    await self.deltas.put(event)
        except TimeoutError as error:
            raise ProviderTimeoutError from error
        raise AppError

    def _forbid_retries(self, error: BaseException) -> None:
        """Keep SDKs from retrying by themselves if something may have run already: it would run a second time."""
        meter = self.turn.meter
        if isinstance(error, ProviderRateLimitedError):
            # The call that the provider refused has not run, but calls before it may have.
            error.retryable = error.retryable and not meter.was_used
        elif isinstance(error, AppError):
            error.retryable = error.retryable and not meter.was_opened

    async def _fail(self, error: BaseException) -> None:
        try:
            # What was streamed has been delivered. Any other failed turn is free, unless the client caused the end by
            # hanging up or by running out of credits.
            is_delivered = self.turn.request.is_streamed and self.deltas.have_begun
            is_charged = is_delivered or self._is_abandoned or isinstance(error, InsufficientCreditsError)
            await self._settlement.fail(self.turn, is_fault=not self._is_abandoned, is_charged=is_charged)
        except Exception:  # the error that ended the turn is the one to raise
            # The leases expire, and the sweeper voids the hold.
            logger.exception("turn_not_closed", extra={"turn_id": self.turn.id})

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(TURN_LEASE.total_seconds() / 3)
            try:
                await self._settlement.renew_leases(self.turn)
            except Exception:  # there will be another try before the leases expire
                logger.exception("turn_lease_not_renewed", extra={"turn_id": self.turn.id})


class Turns:
    """Begins turns, and knows those that are running in this process."""

    def __init__(self, admission: TurnAdmission, settlement: TurnSettlement) -> None:
        self._admission = admission
        self._settlement = settlement
        self._running: dict[asyncio.Task[TurnResult], RunningTurn] = {}
        self._is_draining = False

    async def begin(self, request: TurnRequest) -> RunningTurn | TurnResult:
        """Admit a turn and let it run.

        Returns:
            The running turn, or the stored result if the request has an Idempotency-Key and has run before.

        Raises:
            AppError: the request is refused; see `TurnAdmission.admit`.
        """
        admitted = await self._admission.admit(request)
        return admitted if isinstance(admitted, TurnResult) else self._start(admitted)

    async def drain(self) -> None:
        """End every turn, also those that begin later. Each is charged and stored, and its client gets an error."""
        self._is_draining = True
        for running in self._running.values():
            running.interrupt()
        if self._running:
            await asyncio.wait(self._running)

    def _start(self, turn: OpenTurn) -> RunningTurn:
        running = RunningTurn(turn, self._settlement)
        self._running[running.task] = running
        running.task.add_done_callback(self._forget)
        if self._is_draining:
            running.interrupt()
        return running

    def _forget(self, task: asyncio.Task[TurnResult]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, AppError):
            logger.error("turn_failed", exc_info=error, extra={"turn_id": task.get_name()})
