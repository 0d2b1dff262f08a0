import asyncio
import logging
from typing import Any

from app.chat.turns.ending import TurnEnding
from app.chat.turns.result import TurnResult
from app.chat.turns.settle import TurnSettlement
from app.chat.turns.turn import hold_reference
from app.core.concurrency import cancel_all
from app.core.errors import ServiceUnavailableError
from app.core.metrics import TURNS_NOT_SETTLED, TURNS_SETTLING
from app.core.persistence import until_done
from app.core.span_names import SpanName
from app.core.tracing import spanning
from app.credits.counting import count_uses

logger = logging.getLogger(__name__)


class SettlingTurns:
    """The turns of this process that have ended and are being settled, whether or not anybody waits for that."""

    def __init__(self, settlement: TurnSettlement) -> None:
        self._settlement = settlement
        self._writing: dict[asyncio.Task[TurnResult | None], TurnEnding] = {}

    def begin(self, ending: TurnEnding) -> asyncio.Task[TurnResult | None]:
        """Begin to write the end of a turn. Nobody else may cancel that.

        Returns:
            What writes it. Its result is that of the turn; None if the turn has no answer, or it cannot be stored.
        """
        writing = asyncio.create_task(self._settle(ending), name=ending.turn.id)
        self._writing[writing] = ending
        TURNS_SETTLING.inc()
        writing.add_done_callback(self._forget)
        return writing

    async def drain(self, seconds: float) -> None:
        """Wait until everything is written, at most this long. The log says what is not, and is given up."""
        if self._writing:
            await asyncio.wait(self._writing, timeout=seconds)
        left, self._writing = self._writing, {}
        for ending in left.values():
            TURNS_NOT_SETTLED.inc()
            logger.error("turn_not_settled", extra=_lost(ending))
        await cancel_all(left)

    async def _settle(self, ending: TurnEnding) -> TurnResult | None:
        with spanning(SpanName.SETTLE):
            return await self._write(ending)

    async def _write(self, ending: TurnEnding) -> TurnResult | None:
        answer = ending.answer
        if answer is None:
            await until_done(lambda: self._settlement.fail(ending), expires_at=ending.hold_expires_at)
            count_uses(ending.uses)
            return None
        try:
            result = await until_done(
                lambda: self._settlement.complete(ending, answer), expires_at=ending.hold_expires_at
            )
        except ServiceUnavailableError:
            raise
        except Exception:  # a defect of this program; what was used is charged nevertheless
            logger.exception("turn_failed", extra={"turn_id": ending.turn.id})
            return await self._write(ending.without_answer())
        count_uses(ending.uses)
        return result

    def _forget(self, writing: asyncio.Task[TurnResult | None]) -> None:
        TURNS_SETTLING.dec()
        ending = self._writing.pop(writing, None)
        if ending and not writing.cancelled() and (error := writing.exception()):
            TURNS_NOT_SETTLED.inc()
            logger.error("turn_not_settled", exc_info=error, extra=_lost(ending))


def _lost(ending: TurnEnding) -> dict[str, Any]:
    return {
        "organization_id": ending.organization_id,
        "reference": hold_reference(ending.turn.id),
        "cost": str(ending.cost),
    }
