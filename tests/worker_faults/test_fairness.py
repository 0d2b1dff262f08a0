"""One organization's backlog is its own: it runs as many at once as its plan allows, and nobody else waits for it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from statistics import quantiles
from time import monotonic

import pytest

from app.generations import service as generations
from app.generations.models import Generation
from app.generations.service import GenerationPolicy, GenerationRequest
from tests import factories, programs
from tests.worker.workbench import Workbench
from tests.worker_faults.conftest import NewSite
from tests.worker_faults.plans import AT_ONCE, allow

_MORE_AT_ONCE = AT_ONCE + 3
_BACKLOG = 200
_SLOW = "simulator/text--slow-0.05"
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 110


@pytest.fixture(scope="module")
async def site(new_site_like_it: NewSite) -> dict[str, str]:
    # So many that only the plan keeps anything waiting.
    return await new_site_like_it(
        REPLICATE_CREATES_PER_MINUTE="100000", REPLICATE_READS_PER_MINUTE="100000", POLL_INTERVAL_SECONDS="0.05"
    )


@pytest.fixture(scope="module", autouse=True)
def _worker(site: dict[str, str], run_folder: Path) -> Iterator[None]:
    with programs.running_worker(site, run_folder / "fairness-worker.log"):
        yield


async def test_a_backlog_delays_nobody_else_and_comes_to_its_end(busy: Workbench, workbench: Workbench) -> None:
    await until_completed(workbench, await workbench.ask("simulator/text"))  # the worker has come up
    await ask_for_backlog(busy)

    others: list[str] = []
    at_once: list[int] = []
    began = monotonic()
    while await count(busy, "'pending', 'processing'"):
        assert monotonic() - began < _PATIENCE_SECONDS
        at_once.append(await count(busy, "'processing'"))
        others.append(await workbench.ask("simulator/text"))
        await asyncio.sleep(_PAUSE_SECONDS)
    took = monotonic() - began

    assert await count(busy, "'completed'") == _BACKLOG
    assert max(at_once) == AT_ONCE
    ended = [await until_completed(workbench, other) for other in others]
    delays = [(row.started_at - row.created_at).total_seconds() for row in ended if row.started_at]
    assert len(delays) == len(others) > 20
    # In one line with the backlog, most of them would have waited for most of it.
    assert quantiles(delays, n=20)[-1] < min(2, took / 5)


async def test_what_waits_is_started_when_the_plan_comes_to_allow_more(busy: Workbench) -> None:
    """Nothing ends that would start it."""
    asked = [await busy.ask("simulator/text--slow-1000") for _ in range(_MORE_AT_ONCE)]
    first, waiting = asked[:AT_ONCE], asked[AT_ONCE:]
    for content_id in first:
        await busy.until_started(content_id)
    assert [(await busy.row(content_id)).status for content_id in waiting] == ["pending"] * len(waiting)

    await allow(busy, _MORE_AT_ONCE)

    for content_id in waiting:
        await busy.until_started(content_id)


async def until_completed(workbench: Workbench, content_id: str) -> Generation:
    """The content once it has ended, with nothing done to hurry it."""
    return await workbench.until(content_id, lambda row: row.completed_at is not None)


async def ask_for_backlog(busy: Workbench) -> None:
    """All of it in one transaction."""
    await factories.price_models(busy.resources.database, _SLOW, ceiling="0.01")
    async with busy.resources.database.transaction() as tx:
        for number in range(_BACKLOG):
            request = GenerationRequest(
                organization_id=busy.organization.id,
                user_id=busy.organization.user_id,
                session_id=None,
                turn_id=None,
                model=_SLOW,
                input={"prompt": f"number {number}"},
            )
            await generations.request_generation(
                tx, busy.resources.queue, GenerationPolicy.of(busy.resources.settings), request
            )


async def count(workbench: Workbench, statuses: str) -> int:
    """How many contents of the organization have one of these statuses at this moment."""
    async with workbench.resources.database.transaction() as tx:
        found: int = await tx.fetchval(
            f"SELECT count(*) FROM generations WHERE organization_id = $1 AND status IN ({statuses})",
            workbench.organization.id,
        )
    return found
