"""While the object store takes nothing, nothing is bought that could not be stored; afterwards all goes on alone."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from devstack.ports import free_port
from tests import programs
from tests.core.sites import settings_of
from tests.storage import rclone
from tests.waiting import until
from tests.worker.manual_worker import open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.test_circuit import check_waiting, is_postponed

KEYS = {"S3_ACCESS_KEY_ID": rclone.ACCESS_KEY_ID, "S3_SECRET_ACCESS_KEY": rclone.SECRET_ACCESS_KEY}


@contextmanager
def blocked(site: dict[str, str]) -> Iterator[None]:
    """Something else has the name of the store's folder."""
    folder = Path(site["LOCAL_STORAGE_DIR"])
    away = folder.with_name(f"{folder.name}-away")
    folder.rename(away)
    folder.touch()
    yield
    folder.unlink()
    away.rename(folder)


def events(log: Path, event: str) -> list[dict[str, str]]:
    """The lines of a log with this event. Every line is one JSON object."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


async def test_starts_wait_for_the_store_and_go_on_by_themselves(
    site: dict[str, str], workbench: Workbench, run_folder: Path
) -> None:
    logs = [run_folder / f"store-away-{number}.log" for number in range(2)]
    port = free_port()
    with (
        programs.running_worker({**site, "WORKER_METRICS_PORT": str(port)}, logs[0]),
        programs.running_worker(site, logs[1]),
    ):
        with blocked(site):
            # The workers find out by a copy that fails, or by their next probe.
            bought = await workbench.ask("simulator/image")
            await workbench.until(bought, lambda row: row.outcome is not None or is_postponed(row), is_hurried=True)
            await until(lambda: reported(*logs))
            asked = [await workbench.ask("simulator/image") for _ in range(3)]
            for content_id in asked:
                await workbench.until(content_id, is_postponed)

            await check_waiting(workbench, *asked)
            assert [await workbench.creations(content_id) for content_id in asked] == [[]] * 3
            async with httpx.AsyncClient() as client:
                metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            assert 'junis_store_is_usable{store="objects"} 0.0' in metrics
        ended = [await workbench.until_ended(content_id) for content_id in [bought, *asked]]

    assert [row.status for row in ended] == ["completed"] * 4
    assert [await workbench.creations(content_id) for content_id in asked] == [[201]] * 3
    assert [len(await workbench.charges(content_id)) for content_id in asked] == [1] * 3
    for log in logs:
        assert [line["level"] for line in events(log, "store_unusable")] == ["error"]
        assert "LOCAL_STORAGE_DIR" in events(log, "store_unusable")[0]["reason"]


async def reported(*logs: Path) -> bool:
    """Whether every worker has reported that the store cannot be used."""
    return all(events(log, "store_unusable") for log in logs)


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"S3_SECRET_ACCESS_KEY": "geheim"}, "refused"),
        ({"S3_BUCKET": "no-such-bucket"}, "bucket_missing"),
        ({"S3_ENDPOINT_URL": "http://127.0.0.1:1"}, "unavailable"),
    ],
)
async def test_nothing_is_bought_for_a_bucket_that_refuses(
    site: dict[str, str], workbench: Workbench, tmp_path: Path, changes: dict[str, str], state: str
) -> None:
    (tmp_path / "buckets" / "junis").mkdir(parents=True)
    asked = await workbench.ask("simulator/image")

    with rclone.serving(tmp_path / "buckets", tmp_path / "rclone.log") as url:
        bucket = {"STORAGE": "s3", "S3_ENDPOINT_URL": url, "S3_BUCKET": "junis", **KEYS}
        async with open_manual_worker(settings_of({**site, **bucket, **changes})) as worker:
            await worker.start(asked)
            found = worker.resources.object_watch.finding

    assert found.state == state
    assert "geheim" not in found.reason
    assert await workbench.creations(asked) == []
    await check_waiting(workbench, asked)


async def test_after_a_copy_that_failed_the_store_is_asked_before_the_next_start(
    site: dict[str, str], workbench: Workbench
) -> None:
    first = await workbench.ask("simulator/image")
    async with open_manual_worker(settings_of(site)) as worker:
        await worker.start(first)

        async def has_outcome() -> bool:
            await worker.steps.poll.run()
            return (await workbench.row(first)).outcome is not None

        await until(has_outcome)
        with blocked(site):
            await worker.copy(first)
            second = await workbench.ask("simulator/image")
            await worker.start(second)
        await check_waiting(workbench, second)
        assert await workbench.creations(second) == []

        await worker.resources.object_watch.look()  # as the worker's loop does every few seconds
        await workbench.let_lease_run_out(first)
        await workbench.let_lease_run_out(second)
        await worker.copy(first)
        await worker.start(second)

    assert (await workbench.row(first)).status == "completed"
    assert await workbench.creations(second) == [201]
