"""A worker without loops: tests run its steps themselves, in the order that they need."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.core.settings import Settings
from app.generations.attempts import ClaimedAttempt
from app.generations.claims import Claimed
from app.resources import Resources, open_resources
from worker.steps.open import Steps, open_steps

_ALL = 100_000


@dataclass(frozen=True)
class ManualWorker:
    """The steps of a worker, and what they use. Other rows that a claim returns are kept until a test asks for them."""

    settings: Settings
    resources: Resources
    steps: Steps
    _starts: dict[str, ClaimedAttempt] = field(default_factory=dict)
    _copies: dict[str, ClaimedAttempt] = field(default_factory=dict)
    # Of several that claim at once, one gets all rows: the others wait until it has put them where they look.
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def claim_start(self, generation_id: str) -> ClaimedAttempt | None:
        """Claim all due starts. Returns this generation if it has been claimed, now or before."""
        self._starts.update(_by_id(await self.steps.start.claim(_ALL)))
        return self._starts.pop(generation_id, None)

    async def start(self, generation_id: str) -> None:
        """Start this generation, if it can be claimed."""
        if generation := await self.claim_start(generation_id):
            await self.steps.start.run(generation)

    async def copy(self, generation_id: str) -> None:
        """Copy the outputs of this generation, if it can be claimed."""
        async with self._claiming:
            self._copies.update(_by_id(await self.steps.copy.claim(_ALL)))
        if generation := self._copies.pop(generation_id, None):
            await self.steps.copy.run(generation)

    async def sweep(self) -> None:
        """The steps of the sweeper that every worker runs once a second for attempts and wakes."""
        await self.steps.sweep.end_late()
        await self.steps.sweep.wake_due()


@asynccontextmanager
async def open_manual_worker(settings: Settings) -> AsyncIterator[ManualWorker]:
    """A worker with these settings."""
    async with open_resources(settings) as resources, open_steps(resources) as steps:
        yield ManualWorker(settings, resources, steps)


def _by_id(claimed: Claimed[ClaimedAttempt]) -> dict[str, ClaimedAttempt]:
    return {str(attempt.generation_id): attempt for attempt in claimed.rows}
