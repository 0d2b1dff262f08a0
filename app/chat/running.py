import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress

from app.agents.runtime.events import Delta, Finished
from app.agents.runtime.run import run_agent
from app.chat import closing
from app.chat.errors import TurnInterruptedError
from app.chat.turn import OpenTurn, TurnResult
from app.chat_models.protocol import JsonObject
from app.core.errors import AppError, ProviderTimeoutError, ServiceUnavailableError
from app.credits.errors import InsufficientCreditsError
from app.resources import Resources
from app.sessions.service import TURN_LEASE

logger = logging.getLogger(__name__)

# How long to wait before closing a turn again, in seconds.
_CLOSING_PAUSES = (0.2, 1.0, 3.0)

Render = Callable[[OpenTurn, TurnResult], JsonObject]


class RunningTurn:
    """A turn in a task of its own, so that it is always charged and stored, whatever becomes of the request.

    The deltas come through `next_delta()`, the end through `result()`.
    """

    def __init__(self, resources: Resources, turn: OpenTurn, render: Render) -> None:
        self.turn = turn
        self._resources = resources
        self._render = render
        self._deltas: asyncio.Queue[Delta | None] = asyncio.Queue()
        self._has_begun = asyncio.Event()
        self._is_closing = False
        self._is_abandoned = False
        self.task = asyncio.create_task(self._run(), name=turn.id)

    async def wait_for_first_word(self, seconds: float) -> None:
        """Wait until the model says something, the turn ends, or the time is up."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._has_begun.wait(), seconds)

    @property
    def has_failed(self) -> bool:
        """Whether the turn has ended, and not with an answer."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)

    async def next_delta(self) -> Delta | None:
        """What the model says next; None once the turn has ended one way or another."""
        return await self._deltas.get()

    async def result(self) -> TurnResult:
        """The end of the turn, once it is charged and stored.

        Raises:
            AppError: how it failed.
        """
        try:
            return await asyncio.shield(self.task)
        except asyncio.CancelledError:
            if self.task.cancelled():
                # Not the request but the turn was cancelled: the client has left, or the server is shutting down.
                raise TurnInterruptedError from None
            raise
        except AppError:
            raise
        except Exception as error:
            # Logged by `Turns`, which sees every turn end.
            raise AppError from error

    async def ended(self) -> None:
        """Wait until the turn has ended, one way or another."""
        await asyncio.wait({self.task})

    def abandon(self) -> None:
        """The client is gone: end the model call, charge and store what was delivered.

        A turn that may be asked for again by its Idempotency-Key goes on instead.
        """
        if self.turn.idempotent is None:
            self._is_abandoned = True
            self.interrupt()

    def interrupt(self) -> None:
        """End the model call; a turn that is being closed already is left to it."""
        if not self._is_closing:
            self.task.cancel()

    async def _run(self) -> TurnResult:
        lease = asyncio.create_task(self._keep_lease())
        try:
            try:
                async with asyncio.timeout(self.turn.time_limit):
                    answer = await self._answer()
            except TimeoutError as error:
                raise ProviderTimeoutError from error
            self._is_closing = True
            return await self._complete(answer)
        except BaseException as error:
            self._is_closing = True
            await self._fail(error)
            raise
        finally:
            lease.cancel()
            self._put(None)

    async def _complete(self, answer: Finished) -> TurnResult:
        """Close the turn; where Postgres goes away meanwhile, again: every step of it happens once."""
        for pause in _CLOSING_PAUSES:
            try:
                return await closing.complete_turn(self._resources, self.turn, answer, self._render)
            except ServiceUnavailableError:
                await asyncio.sleep(pause)
        try:
            return await closing.complete_turn(self._resources, self.turn, answer, self._render)
        except ServiceUnavailableError as error:
            raise TurnInterruptedError from error

    async def _answer(self) -> Finished:
        turn = self.turn
        async with aclosing(run_agent(turn.context, turn.agent, turn.messages)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event
                self._put(event)
        raise AppError

    def _put(self, delta: Delta | None) -> None:
        self._deltas.put_nowait(delta)
        self._has_begun.set()

    async def _fail(self, error: BaseException) -> None:
        try:
            # What was streamed was delivered. Otherwise a turn that fails costs nothing, unless it is the client that
            # ended it, by leaving or by running out of credits.
            is_delivered = self.turn.context.is_streamed and self._has_begun.is_set()
            is_charged = is_delivered or self._is_abandoned or isinstance(error, InsufficientCreditsError)
            await closing.fail_turn(self._resources, self.turn, is_fault=not self._is_abandoned, is_charged=is_charged)
        except Exception:
            # The sweeper voids the hold, and the leases run out by themselves.
            logger.exception("turn_not_closed", extra={"turn_id": self.turn.id})

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(TURN_LEASE.total_seconds() / 3)
            try:
                await closing.renew_turn(self._resources, self.turn)
            except Exception:
                logger.exception("lease_not_renewed", extra={"turn_id": self.turn.id})


class Turns:
    """The turns of this process."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[TurnResult], RunningTurn] = {}

    def start(self, resources: Resources, turn: OpenTurn, render: Render) -> RunningTurn:
        """Let an admitted turn run. `render` makes the answer that is kept for its Idempotency-Key."""
        running = RunningTurn(resources, turn, render)
        self._running[running.task] = running
        running.task.add_done_callback(self._forget)
        return running

    async def drain(self) -> None:
        """End every turn that still runs; each is charged and stored."""
        for running in self._running.values():
            running.interrupt()
        await asyncio.gather(*self._running, return_exceptions=True)

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
