import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass

from app.agents.runtime.events import Delta, Finished
from app.agents.runtime.llm import run_llm_agent
from app.chat import service
from app.chat.service import OpenTurn
from app.chat_models.protocol import Usage
from app.content.service import ContentWithOutputs
from app.core.errors import AppError, ProviderTimeoutError, ServiceUnavailableError
from app.resources import Resources
from app.sessions.service import TURN_LEASE

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TurnResult:
    """A turn that has ended well: its answer, its tokens, and what it had made."""

    answer: Finished
    usage: Usage
    contents: Sequence[ContentWithOutputs]


class RunningTurn:
    """A turn in a task of its own, so that it is always charged and stored, whatever becomes of the request.

    The deltas come through `next_delta()`, the end through `result()`.
    """

    def __init__(self, resources: Resources, turn: OpenTurn) -> None:
        self.turn = turn
        self._resources = resources
        self._deltas: asyncio.Queue[Delta | None] = asyncio.Queue()
        self._has_begun = asyncio.Event()
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
                raise ServiceUnavailableError from None
            raise
        except AppError:
            raise
        except Exception as error:
            # Logged by `Turns`, which sees every turn end.
            raise AppError from error

    def abandon(self) -> None:
        """The client is gone: end the model call, charge and store what was delivered."""
        self.task.cancel()

    async def _run(self) -> TurnResult:
        lease = asyncio.create_task(self._keep_lease())
        try:
            try:
                async with asyncio.timeout(self.turn.time_limit):
                    answer = await self._answer()
            except TimeoutError as error:
                raise ProviderTimeoutError from error
        except BaseException as error:
            await self._close(failed=not isinstance(error, asyncio.CancelledError))
            raise
        else:
            contents = await self._close(failed=False)
            return TurnResult(answer, self.turn.meter.usage, contents)
        finally:
            lease.cancel()
            self._put(None)

    async def _answer(self) -> Finished:
        turn = self.turn
        async with aclosing(run_llm_agent(turn.context, turn.agent, turn.messages)) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return event
                self._put(event)
        raise AppError

    def _put(self, delta: Delta | None) -> None:
        self._deltas.put_nowait(delta)
        self._has_begun.set()

    async def _close(self, *, failed: bool) -> Sequence[ContentWithOutputs]:
        try:
            return await service.close_turn(self._resources, self.turn, failed=failed)
        except AppError:
            # The sweeper voids the hold, and the session's lease runs out by itself.
            logger.exception("turn_not_closed", extra={"turn_id": self.turn.id})
            raise

    async def _keep_lease(self) -> None:
        while True:
            await asyncio.sleep(TURN_LEASE.total_seconds() / 3)
            with suppress(AppError):
                await service.renew_turn(self._resources, self.turn)


class Turns:
    """The turns of this process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[TurnResult]] = set()

    def start(self, resources: Resources, turn: OpenTurn) -> RunningTurn:
        """Let an admitted turn run."""
        running = RunningTurn(resources, turn)
        self._tasks.add(running.task)
        running.task.add_done_callback(self._forget)
        return running

    async def drain(self) -> None:
        """End every turn that still runs; each is charged and stored."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _forget(self, task: asyncio.Task[TurnResult]) -> None:
        self._tasks.discard(task)
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
