import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Generic, TypeVar

from app.core.concurrency import cancel_all
from app.core.errors import AppError, ServiceUnavailableError
from app.core.metrics import ROW_SECONDS, ROWS_IN_PROGRESS, timed
from app.generations.claims import Claimed

logger = logging.getLogger(__name__)

Row = TypeVar("Row")

_CLAIM_SECONDS = 10.0
_HAND_OVER_SECONDS = 10.0


@dataclass
class Lanes(Generic[Row]):
    """Works on the due rows of one kind, `capacity` at most at once in this process.

    Attributes:
        claim: claims due rows, so many at most.
        work: does the due step for one row.
        time_limit: seconds for one row.
        more_due: is called when there may be more due rows than this process has capacity for.
        freed: is set when capacity becomes free.
        name: what the metrics call the step.
        belonging: says of the block to whom its lines in the log belong.
    """

    claim: Callable[[int], Awaitable[Claimed[Row]]]
    work: Callable[[Row], Awaitable[None]]
    capacity: int
    time_limit: float
    more_due: Callable[[], Awaitable[None]]
    freed: asyncio.Event
    name: str = "rows"
    belonging: Callable[[Row], AbstractContextManager[None]] = lambda _: nullcontext()
    _busy: int = 0
    _is_stopping: bool = False

    @property
    def free(self) -> int:
        """How many more rows could be worked on now; none if the process is stopping."""
        return 0 if self._is_stopping else self.capacity - self._busy

    def stop(self) -> None:
        """Claim no more rows. Work on those that are claimed goes on."""
        self._is_stopping = True

    async def run(self) -> None:
        """Claim due rows and work on them until none is left, or there is no free capacity."""
        held = self.free
        if not held:
            # The wake is taken, but not by somebody who can follow it.
            await self.more_due()
            return
        self._busy += held
        at_work: set[asyncio.Task[None]] = set()
        try:
            await self._work_off(held, at_work)
            # No more rows are due: what is free now, or becomes free, is for those of later wakes.
            self._release(held - len(at_work))
            held = 0
            for lane in at_work:
                lane.add_done_callback(lambda _: self._release(1))
            if at_work:
                await asyncio.wait(at_work)
        finally:
            # Each of those that are left is cancelled once: it needs a moment to hand its row over.
            await cancel_all(at_work, again_after=_HAND_OVER_SECONDS)
            self._release(held)

    async def _work_off(self, capacity: int, at_work: set[asyncio.Task[None]]) -> None:
        """Claim rows until none is due, as many at a time as are free. Tasks are in the set while they work on rows.

        What becomes free at the same time claims together, so a backlog costs fewer claims than it has rows.
        """
        is_first = True
        while not self._is_stopping:
            claimed = await self._claim(capacity - len(at_work))
            at_work |= {asyncio.create_task(self._work_on(row)) for row in claimed.rows}
            if is_first and claimed.rows and not claimed.is_final:
                await self.more_due()
            is_first = False
            if claimed.is_final or not claimed.rows:
                return
            done, _ = await asyncio.wait(at_work, return_when=asyncio.FIRST_COMPLETED)
            at_work -= done

    async def _claim(self, limit: int) -> Claimed[Row]:
        try:
            async with asyncio.timeout(_CLAIM_SECONDS):
                return await self.claim(limit)
        except (AppError, TimeoutError) as error:
            # Postgres is away or slow: the rows stay due, and the sweeper wakes the workers for them.
            reason = str(error) or f"no claim within {_CLAIM_SECONDS:.0f} s"
            logger.warning("claim_failed", extra={"reason": reason})
        except Exception:  # what other lanes work on must not suffer for it
            logger.exception("claim_failed")
        return Claimed((), is_final=True)

    async def _work_on(self, row: Row) -> None:
        with self.belonging(row):
            await self._work(row)

    async def _work(self, row: Row) -> None:
        try:
            with timed(ROW_SECONDS.labels(self.name)), ROWS_IN_PROGRESS.labels(self.name).track_inprogress():
                async with asyncio.timeout(self.time_limit):
                    await self.work(row)
        except ServiceUnavailableError as error:
            # Postgres is away, as its own line says. The row is due again when its lease has ended.
            logger.info("row_interrupted", extra={"generation_id": _id_of(row), "reason": error.text})
        except Exception:  # the row is due again when its lease has ended
            logger.exception("row_failed", extra={"generation_id": _id_of(row)})

    def _release(self, count: int) -> None:
        self._busy -= count
        if count:
            self.freed.set()


def _id_of(row: object) -> str:
    return str(getattr(row, "generation_id", row))
