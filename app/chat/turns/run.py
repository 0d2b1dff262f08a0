import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

from app.agents.runtime.events import Finished
from app.agents.runtime.run import run_agent
from app.chat.turns import settle as closing
from app.chat.turns.deltas import Deltas
from app.chat.turns.settle import Render
from app.chat.turns.turn import OpenTurn, TurnResult
from app.core.errors import AppError, ProviderRateLimitedError, ProviderTimeoutError, ServiceUnavailableError
from app.credits.errors import InsufficientCreditsError
from app.resources import Resources
from app.sessions.service import TURN_LEASE

logger = logging.getLogger(__name__)


class RunningTurn:
    """A turn in a task of its own, so that it is always charged and stored, whatever becomes of the request.

    What is said comes through `deltas`, the end through `result()`.
    """

    def __init__(self, resources: Resources, turn: OpenTurn, render: Render) -> None:
        self.turn = turn
        self.deltas = Deltas()
        if not turn.context.is_streamed:
            self.deltas.drop()
        self._resources = resources
        self._render = render
        self._is_abandoned = False
        # Only this one is ever cancelled: what closes the turn is not.
        self._answering = asyncio.create_task(self._answer(), name=turn.id)
        self.task = asyncio.create_task(self._run(), name=turn.id)

    @property
    def has_failed(self) -> bool:
        """Whether the turn has ended, and not with an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    async def result(self) -> TurnResult:
        """The end of the turn, once it is charged and stored.

        Raises:
            AppError: how it failed.
        """
        try:
            return await asyncio.shield(self.task)
        except AppError:
            raise
        except Exception as error:  # a defect, told to the client as one
            # Logged by `Turns`, which sees every turn end.
            raise AppError from error

    async def ended(self) -> None:
        """Wait until the turn has ended, one way or another."""
        await asyncio.wait({self.task})

    def abandon(self) -> None:
        """The client is gone: end the model call, charge and store what was delivered.

        A turn that may be asked for again by its Idempotency-Key goes on instead.
        """
        self.deltas.drop()
        if self.turn.idempotent is None:
            self._is_abandoned = True
            self.interrupt()

    def interrupt(self) -> None:
        """End the model call; a turn that has its answer already is left to its end."""
        self._answering.cancel()

    async def _run(self) -> TurnResult:
        lease = asyncio.create_task(self._keep_lease())
        try:
            answer = await self._answered()
            return await closing.complete_turn(self._resources, self.turn, answer, self._render)
        except BaseException as error:  # raised again, once the turn is closed
            self._forbid_repeating(error)
            await self._fail(error)
            raise
        finally:
            lease.cancel()
            self.deltas.end()

    async def _answered(self) -> Finished:
        try:
            return await self._answering
        except asyncio.CancelledError:
            # The client has left, or the server is shutting down.
            raise ServiceUnavailableError from None

    async def _answer(self) -> Finished:
        turn = self.turn
        try:
            async with (
                asyncio.timeout(turn.time_limit),
                aclosing(run_agent(turn.context, turn.agent, turn.messages)) as events,
            ):
                async for event in events:
                    if isinstance(event, Finished):
                        return event
                    await self.deltas.put(event)
        except TimeoutError as error:
            raise ProviderTimeoutError from error
        raise AppError

    def _forbid_repeating(self, error: BaseException) -> None:
        """Keep SDKs from repeating by themselves what may have run: it would run, and act, twice."""
        meter = self.turn.meter
        if isinstance(error, ProviderRateLimitedError):
            # The call that was refused has not run; those before it have.
            error.retryable = error.retryable and not meter.was_used
        elif isinstance(error, AppError):
            error.retryable = error.retryable and not meter.was_opened

    async def _fail(self, error: BaseException) -> None:
        try:
            # What was streamed was delivered. Otherwise a turn that fails costs nothing, unless it is the client that
            # ended it, by leaving or by running out of credits.
            is_delivered = self.turn.context.is_streamed and self.deltas.have_begun
            is_charged = is_delivered or self._is_abandoned or isinstance(error, InsufficientCreditsError)
            await closing.fail_turn(self._resources, self.turn, is_fault=not self._is_abandoned, is_charged=is_charged)
        except Exception:  # nobody is left to raise it to
            # The sweeper voids the hold, and the leases run out by themselves.
            logger.exception("turn_not_closed", extra={"turn_id": self.turn.id})

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(TURN_LEASE.total_seconds() / 3)
            try:
                await closing.renew_turn(self._resources, self.turn)
            except Exception:  # the next renewal comes all the same
                logger.exception("lease_not_renewed", extra={"turn_id": self.turn.id})


class Turns:
    """The turns of this process."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[TurnResult], RunningTurn] = {}
        self._is_draining = False

    def start(self, resources: Resources, turn: OpenTurn, render: Render) -> RunningTurn:
        """Let an admitted turn run. `render` makes the answer that is kept for its Idempotency-Key."""
        running = RunningTurn(resources, turn, render)
        self._running[running.task] = running
        running.task.add_done_callback(self._forget)
        if self._is_draining:
            running.interrupt()
        return running

    async def drain(self) -> None:
        """End every turn, those to come too; each is charged and stored, and its client told."""
        self._is_draining = True
        for running in self._running.values():
            running.interrupt()
        if self._running:
            await asyncio.wait(self._running)

    def _forget(self, task: asyncio.Task[TurnResult]) -> None:
        self._running.pop(task, None)
        if not task.cancelled() and (error := task.exception()) and not isinstance(error, AppError):
            logger.error("turn_failed", exc_info=error, extra={"turn_id": task.get_name()})


@asynccontextmanager
async def open_turns() -> AsyncIterator[Turns]:
    """The turns of this process, ended at its end."""
    turns = Turns()
    try:
        yield turns
    finally:
        await turns.drain()
