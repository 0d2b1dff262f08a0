"""From an outcome to verified files in the store, charged in the same transaction that completes the generation."""

import asyncio
import logging
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from app.core.backoff import backoff
from app.core.database import Database
from app.core.errors import AppError
from app.core.watch import Watch
from app.generations import claims
from app.generations.attempts import AttemptLostError, ClaimedAttempt
from app.generations.claims import Claimed
from app.generations.outputs import ReservedOutput
from app.storage.protocol import StoreError
from worker.steps.counting import Reason, count_failed
from worker.steps.end import Ending
from worker.transfer.copying import OutputCopier
from worker.transfer.downloads import DownloadInterruptedError, DownloadRefusedError
from worker.transfer.sources import sources_of

logger = logging.getLogger(__name__)

_RENEWALS_PER_LEASE = 3
_MOST_OUTPUTS = 1000


@dataclass(frozen=True)
class CopyStep:
    """Copies outputs into the store. They may be fetched from `other_hosts`, in addition to the vendor's.

    If the store fails, `objects` is told, and nothing more is bought before it has accepted a write again.
    """

    database: Database
    copier: OutputCopier
    objects: Watch
    ending: Ending
    other_hosts: frozenset[str]
    lease: timedelta

    async def claim(self, limit: int) -> Claimed[ClaimedAttempt]:
        """Claim attempts whose outputs wait to be copied, `limit` at most."""
        return await claims.claim_copies(self.database, limit, self.lease)

    async def run(self, attempt: ClaimedAttempt) -> None:
        """Copy the outputs of a claimed attempt and complete it. A copy that is interrupted is tried again later.

        A copy that is running at the deadline goes on until the sweeper ends the attempt, `COPY_GRACE` later.
        """
        touched: list[ReservedOutput] = []
        is_completed = False
        try:
            is_completed = await self._while_leased(attempt, self._copy(attempt, touched))
        except DownloadRefusedError as error:
            has_failed = await self.ending.fail(attempt, f"The output could not be copied: {error}")
            count_failed(Reason.OUTPUT_REFUSED, has_failed=has_failed)
        except AttemptLostError as error:
            # Another worker has the lease now, or the attempt has ended.
            logger.warning("copy_left", extra={"generation_id": str(attempt.generation_id), "reason": str(error)})
        except (DownloadInterruptedError, StoreError) as error:
            if isinstance(error, StoreError):
                self.objects.doubt()
            logger.warning(
                "copy_interrupted", extra={"generation_id": str(attempt.generation_id), "reason": str(error)}
            )
            await self._hand_over(attempt, backoff(attempt.failures, first=1, longest=60), is_failure=True)
        except asyncio.CancelledError:
            # The worker is shutting down: another one may go on at once.
            await self._hand_over(attempt, timedelta(0))
            raise
        finally:
            if not is_completed:
                await self.copier.keep_known(touched)

    async def _copy(self, attempt: ClaimedAttempt, touched: list[ReservedOutput]) -> bool:
        assert attempt.outcome is not None  # noqa: S101 - what `claim_copies` selects
        sources = sources_of(attempt.outcome["output"], self.other_hosts)
        if len(sources) > _MOST_OUTPUTS:
            raise DownloadRefusedError(f"the prediction has {len(sources)} outputs")
        files = [await self.copier.copy(attempt, position, source, touched) for position, source in enumerate(sources)]
        predict_time = attempt.outcome["predict_time"]
        seconds = None if predict_time is None else Decimal(predict_time)
        return await self.ending.complete(attempt, files, predict_time=seconds)

    async def _hand_over(self, attempt: ClaimedAttempt, wait: timedelta, *, is_failure: bool = False) -> None:
        async with self.database.transaction() as tx:
            if not await claims.hand_over(tx, attempt, wait, is_failure=is_failure):
                logger.warning("copy_lost", extra={"generation_id": str(attempt.generation_id)})

    async def _while_leased(self, attempt: ClaimedAttempt, work: Coroutine[None, None, bool]) -> bool:
        """Do the work, and renew the lease until it is done.

        Raises:
            AttemptLostError: the lease was lost, so the work was cancelled.
        """
        working = asyncio.create_task(work)
        renewing = asyncio.create_task(self._renew(attempt))
        try:
            await asyncio.wait((working, renewing), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise AttemptLostError("the attempt is no longer being copied")
        finally:
            working.cancel()
            renewing.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)

    async def _renew(self, attempt: ClaimedAttempt) -> None:
        """Renew the lease until it is lost."""
        is_ours = True
        while is_ours:
            await asyncio.sleep(self.lease.total_seconds() / _RENEWALS_PER_LEASE)
            try:
                async with self.database.transaction() as tx:
                    is_ours = await claims.renew(tx, attempt, self.lease)
            except AppError as error:
                logger.warning(
                    "copy_lease_not_renewed", extra={"generation_id": str(attempt.generation_id), "reason": error.text}
                )
