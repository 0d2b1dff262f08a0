"""All workers together respect the vendor's limit of starts for one account."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import programs
from tests.worker.workbench import Workbench
from tests.worker_faults.conftest import NewSite

_PER_MINUTE = 300
# A twentieth of a minute's calls may be made at once.
_BURST = _PER_MINUTE // 20
# How long no worker calls after a 429 that does not say how long to wait.
_SILENT_WAIT = timedelta(seconds=5)


@pytest.fixture(scope="module")
async def site(make_site: NewSite) -> dict[str, str]:
    # Each token has a budget of its own.
    return await make_site(REPLICATE_CREATES_PER_MINUTE=str(_PER_MINUTE), REPLICATE_API_TOKEN="of-a-small-account")


@pytest.fixture(scope="module", autouse=True)
def _two_workers(site: dict[str, str], run_folder: Path) -> Iterator[None]:
    with (
        programs.running_worker(site, run_folder / "budget-worker-1.log"),
        programs.running_worker(site, run_folder / "budget-worker-2.log"),
    ):
        yield


async def test_starts_are_spaced_by_one_bucket_for_all_workers(workbench: Workbench) -> None:
    count = _BURST + 10
    asked = [await workbench.ask("simulator/text") for _ in range(count)]
    for content_id in asked:
        await until_completed(workbench, content_id)

    moments = await creation_moments(workbench, *asked)
    assert len(moments) == count
    # One bucket needs two seconds for the ten calls that it does not hold; two buckets would need none. A slow machine
    # may delay the first calls, but not by half of that time.
    spaced_over = (moments[-1] - moments[0]).total_seconds()
    assert spaced_over > 0.5 * (count - _BURST) * 60 / _PER_MINUTE


async def test_after_a_429_no_worker_calls_the_vendor_before_the_wait_is_over(workbench: Workbench) -> None:
    refused = await workbench.ask("simulator/text--create-429-silent-1")
    await workbench.until(refused, lambda row: row.status == "pending" and row.due_at > row.created_at + _SILENT_WAIT)

    asked = [await workbench.ask("simulator/text") for _ in range(5)]
    for content_id in [refused, *asked]:
        await until_completed(workbench, content_id)

    refused_at, next_at, *others = await creation_moments(workbench, refused, *asked)
    assert len(others) == 5
    assert next_at - refused_at >= _SILENT_WAIT
    assert await workbench.creations(refused) == [429, 201]


async def test_when_redis_forgets_the_budget_work_goes_on(workbench: Workbench) -> None:
    asked = [await workbench.ask("simulator/text") for _ in range(_BURST + 5)]
    # Before all of them are started. The vendor's own limit still applies, and our budget starts full again.
    await workbench.resources.redis.flushdb()

    for content_id in asked:
        await until_completed(workbench, content_id)

    assert [await workbench.creations(content_id) for content_id in asked] == [[201]] * len(asked)


async def until_completed(workbench: Workbench, content_id: str) -> None:
    """Wait until the content is completed, without cutting short the pauses that the budget causes."""
    row = await workbench.until_ended(content_id, is_hurried=False)
    assert (row.status, row.error_message) == ("completed", None)


async def creation_moments(workbench: Workbench, *content_ids: str) -> list[datetime]:
    """The times of the create calls for these contents, in order."""
    inputs = [(await workbench.row(content_id)).input for content_id in content_ids]
    return [
        datetime.fromisoformat(entry["at"]) for entry in workbench.vendors.log("prediction") if entry["input"] in inputs
    ]
