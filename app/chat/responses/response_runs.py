"""The responses that this process runs without their clients, and those that it takes over from others."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from app.chat.responses.lasting_response import LastingResponse
from app.chat.responses.taking_over import TakenOver
from app.chat.turns.lasting import AcceptedBeforeError, LostTurnError
from app.chat.turns.request import TurnRequest
from app.chat.turns.run import RunningTurn, Turns
from app.core.concurrency import cancel_all
from app.core.database import Database
from app.core.errors import AppError, ServiceUnavailableError
from app.core.secret_keys import SecretKeys
from app.core.settings import Settings
from app.rate_limits.limiter import RateLimiter, Slot
from app.response_runs import service as runs
from app.response_runs.stored_runs import LapsedRun

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
# A third of the lease.
_RENEW_SECONDS: Final = 10.0
# Of other processes' responses at once. The others are left to those that have room.
_MOST_TAKEN_OVER: Final = 16


class ResponseRuns:
    """Runs responses without their clients."""

    def __init__(self, database: Database, turns: Turns, limiter: RateLimiter, keys: SecretKeys) -> None:
        self._database = database
        self._turns = turns
        self._limiter = limiter
        self._keys = keys
        self._running: dict[LastingResponse, RunningTurn] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._taken_over = 0

    async def start(self, response: LastingResponse, request: TurnRequest, take_slot: Callable[[], Slot]) -> str:
        """Let a response run, which has a slot until it ends.

        Args:
            response: the response.
            request: its turn.
            take_slot: takes the slot, once the response is accepted.

        Returns:
            Its id, or that of the one that the same request was accepted as before.

        Raises:
            LostTurnError: another process runs it.
            AppError: the request is refused.
        """
        try:
            begun = await self._turns.begin(request)
        except AcceptedBeforeError as before:
            if not await response.may_be_repeated(request, before.accepted_id):
                return before.accepted_id
            return await self.start(response, request, take_slot)
        if not isinstance(begun, RunningTurn):
            raise TypeError(begun)
        self._running[response] = begun
        ending = asyncio.create_task(self._end(response, begun, take_slot()))
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)
        response.follow(begun)
        return response.lease.id

    async def _end(self, response: LastingResponse, running: RunningTurn, slot: Slot) -> None:
        try:
            await running.ended()
        finally:
            del self._running[response]
            await self._limiter.release(slot)

    async def watch(self) -> None:
        """End the turns of responses that others have taken over, cancelled or deleted."""
        held = {response.lease: running for response, running in self._running.items()}
        if held:
            for lost in held.keys() - await runs.find_held(self._database, list(held)):
                held[lost].give_up()

    async def renew(self) -> None:
        """Renew the leases of all responses that run here."""
        if self._running:
            await runs.renew(self._database, [response.lease for response in self._running])

    async def take_over(self) -> None:
        """Take over what other processes have left."""
        while self._taken_over < _MOST_TAKEN_OVER and (lapsed := await runs.take_over(self._database)):
            self._taken_over += 1
            task = asyncio.create_task(self._go_on(lapsed), name=lapsed.lease.id)
            self._ending.add(task)
            task.add_done_callback(self._ending.discard)

    async def _go_on(self, lapsed: LapsedRun) -> None:
        logger.warning("response_taken_over", extra={"response_id": lapsed.lease.id, "attempt": lapsed.lease.attempt})
        try:
            taken = TakenOver(self._database, self._keys, lapsed)
            if taken.may_run:
                await self._run_again(taken)
            else:
                await taken.end(AppError("The process that ran this response has ended"))
        except LostTurnError:
            pass  # another process has it, or it was cancelled at this moment and is looked at again
        except ServiceUnavailableError:
            logger.warning("response_not_taken_over", extra={"response_id": lapsed.lease.id})
        except Exception:  # the next one to take it over tries again
            logger.exception("response_not_taken_over", extra={"response_id": lapsed.lease.id})
        finally:
            self._taken_over -= 1

    async def _run_again(self, taken: TakenOver) -> None:
        try:
            response, request = await taken.request()
            await self.start(response, request, lambda: self._limiter.take(response.owner.organization_id))
        except ServiceUnavailableError:
            raise
        except AppError as error:
            if error.retryable:
                raise ServiceUnavailableError from error
            await taken.end(error)

    async def close(self) -> None:
        """Leave those to other processes of which nothing was sent. The others fail, as every turn that has to end."""
        await self._turns.drain()
        await cancel_all(self._ending)


async def _for_ever(seconds: float, step: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await step()
        except ServiceUnavailableError:
            pass  # the database has logged it
        except Exception:  # one failure must not stop the next round
            logger.exception("responses_not_looked_after")


@asynccontextmanager
async def open_response_runs(
    settings: Settings, *, database: Database, turns: Turns, limiter: RateLimiter
) -> AsyncIterator[ResponseRuns]:
    """The responses that this process runs. At the end of the block they are left to others, or ended by the turns."""
    opened = ResponseRuns(database, turns, limiter, SecretKeys.of(settings))
    loops = [
        asyncio.create_task(_for_ever(_LOOK_SECONDS, opened.watch)),
        asyncio.create_task(_for_ever(_LOOK_SECONDS, opened.take_over)),
        asyncio.create_task(_for_ever(_RENEW_SECONDS, opened.renew)),
    ]
    try:
        yield opened
    finally:
        await cancel_all(loops)
        await opened.close()
