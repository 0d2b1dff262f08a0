"""The sweeper handles everything that is overdue, however much there is and even if one of them fails.

No worker runs at this site: the tests run its steps themselves.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.generations import outputs
from app.queue.arq import queue_of
from app.queue.protocol import WakeKind
from tests.core.sites import settings_of
from tests.patient import patient_transaction
from tests.vendors_simulator import VendorsSimulator
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench, open_workbench
from tests.worker_faults.hosts import answering
from tests.worker_faults.locks import until_waiting

# More than the sweeper reads in one query.
_BACKLOG = 210
_MODEL = "simulator/text"
_PATIENCE_SECONDS = 30
_MANY = 25
# How many predictions the sweeper cancels at the same time.
_AT_ONCE = 20
_ROWS = 20_000
# Longer than a file name may be.
_UNREMOVABLE = "generation/other/" + "x" * 300
_COMPLETED = """
INSERT INTO generations
SELECT made.* FROM generations c, generate_series(1, $2) AS number, jsonb_populate_record(c, jsonb_build_object(
    'id', gen_random_uuid(), 'file_token', gen_random_uuid(), 'prompt', number,
    'status', 'completed', 'content_type', 'other', 'credit_cost', 0, 'completed_at', now()
)) AS made
WHERE c.id = $1
"""
_VERIFIED = """
INSERT INTO outputs
    (generation_id, attempt, position, storage_path, content_type, media_type, size_bytes, sha256)
SELECT id, retry_count, 0, id::text, content_type, 'text/plain', 1, repeat('0', 64)
FROM generations WHERE status = 'completed'
ON CONFLICT DO NOTHING
"""


@pytest.fixture(scope="module", autouse=True)
async def _backlog(site: dict[str, str], vendors: VendorsSimulator) -> None:
    """Starts and copies that have long been due."""
    async with open_workbench(site, vendors) as other:
        for _ in range(_BACKLOG):
            start, copy = await other.ask(_MODEL), await other.ask(_MODEL)
            await let_wait_for_copy(other, copy)
            for content_id in (start, copy):
                await other.execute(
                    "UPDATE generations SET due_at = now() - interval '10 min' WHERE id = $1", content_id
                )


@pytest.fixture
async def worker(workbench: Workbench) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(workbench.resources.settings) as opened:
        yield opened


async def test_a_generation_past_its_deadline_fails_despite_a_backlog(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await workbench.ask(_MODEL)
    await workbench.let_deadline_pass(asked)

    await worker.sweep()

    assert (await workbench.row(asked)).error_message == "The generation did not end by its deadline"


@pytest.mark.parametrize("kind", [WakeKind.START, WakeKind.COPY])
async def test_a_lost_wake_is_sent_again_despite_a_backlog(
    workbench: Workbench, worker: ManualWorker, kind: WakeKind
) -> None:
    asked = await workbench.ask(_MODEL)
    if kind is WakeKind.COPY:
        await let_wait_for_copy(workbench, asked)
    await workbench.let_lease_run_out(asked)
    await workbench.resources.redis.delete(queue_of(kind))

    await worker.sweep()

    assert await workbench.resources.redis.zcard(queue_of(kind)) == 1
    await (worker.start if kind is WakeKind.START else worker.copy)(asked)
    row = await workbench.row(asked)
    assert row.status == "completed" if kind is WakeKind.COPY else row.prediction_id is not None


async def test_all_late_attempts_fail_before_the_vendor_is_asked_to_cancel_any(
    site: dict[str, str], workbench: Workbench
) -> None:
    late = [await ask_running(workbench) for _ in range(_MANY)]
    failed_when_asked: list[int] = []
    asked = asyncio.Semaphore(0)
    answer = asyncio.Event()

    async def keep_waiting(_path: str) -> bytes:
        failed_when_asked.append([(await workbench.row(content_id)).status for content_id in late].count("failed"))
        asked.release()
        await answer.wait()
        return b"{}"

    async with answering(keep_waiting) as host, open_manual_worker(settings_of(asking(site, host))) as worker:
        sweeping = asyncio.create_task(worker.sweep())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                # The vendor has responded to none of these calls.
                for _ in range(_AT_ONCE):
                    await asked.acquire()
        finally:
            answer.set()
        await sweeping

    assert failed_when_asked[0] == _MANY


async def test_only_the_worker_that_ended_the_attempt_cancels_its_prediction(
    site: dict[str, str], workbench: Workbench
) -> None:
    """Two workers find the attempt past its deadline."""
    late = await ask_running(workbench)
    cancelled: list[str] = []

    async def note(path: str) -> bytes:
        cancelled.append(path)
        return b"{}"

    async with answering(note) as host, open_manual_worker(settings_of(asking(site, host))) as worker:
        async with patient_transaction(workbench.resources.database) as tx:
            await tx.execute("SELECT FROM generations WHERE id = $1 FOR UPDATE", uuid.UUID(late))
            sweeps = [asyncio.create_task(worker.sweep()) for _ in range(2)]
            await until_waiting(workbench, 2)
        await asyncio.gather(*sweeps)
        # If both had to wait for too long, the next one ends it.
        await worker.sweep()

    assert cancelled == [f"/v1/predictions/{late}/cancel"]


async def test_an_object_that_cannot_be_removed_does_not_keep_others(
    workbench: Workbench, worker: ManualWorker
) -> None:
    asked = await workbench.ask(_MODEL)
    path = f"generation/other/{asked}.bin"
    await workbench.resources.store.write(path, chunks_of(b"left over"), media_type="application/octet-stream")
    for position, reserved in enumerate((_UNREMOVABLE, path)):
        async with workbench.resources.database.transaction() as tx:
            await tx.execute(
                "INSERT INTO outputs (generation_id, attempt, position, storage_path, content_type, media_type)"
                " VALUES ($1, 0, $2, $3, 'other', 'application/octet-stream')",
                uuid.UUID(asked),
                position,
                reserved,
            )
    await workbench.let_deadline_pass(asked)
    await worker.sweep()
    await workbench.let_writers_be_gone(asked)

    await worker.steps.sweep.remove_abandoned()

    assert await workbench.reserved(asked) == [_UNREMOVABLE]
    assert await workbench.objects(asked) == []


async def test_finding_abandoned_objects_does_not_read_completed_ones(workbench: Workbench) -> None:
    """The query uses an index, however many completed objects there are."""
    async with workbench.resources.database.transaction() as tx:
        await tx.execute(_COMPLETED, uuid.UUID(await workbench.ask(_MODEL)), _ROWS)
        await tx.execute(_VERIFIED)
        await tx.execute("ANALYZE generations")
        await tx.execute("ANALYZE outputs")
        rows = await tx.fetch(f"EXPLAIN {outputs._ABANDONED}", 200, *outputs.START, timedelta(0))

    plan = "\n".join(row[0] for row in rows)
    assert "ix_outputs_unverified" in plan
    assert "Seq Scan" not in plan


async def let_wait_for_copy(workbench: Workbench, content_id: str) -> None:
    """Let the content wait for its copy, as if its prediction had just ended."""
    await workbench.execute(
        "UPDATE generations SET status = 'processing', started_at = now(), due_at = now(),"
        """ outcome = '{"output": "words", "predict_time": null}' WHERE id = $1""",
        content_id,
    )


async def ask_running(workbench: Workbench) -> str:
    """A content past its deadline, whose running prediction has the content's id."""
    asked = await workbench.ask(_MODEL)
    await workbench.execute(
        "UPDATE generations SET status = 'processing', started_at = now(), prediction_id = id WHERE id = $1",
        asked,
    )
    await workbench.let_deadline_pass(asked)
    return asked


def asking(site: dict[str, str], host: str) -> dict[str, str]:
    """The site's settings with this host as the vendor."""
    return {**site, "REPLICATE_BASE_URL": f"http://{host}"}


async def chunks_of(data: bytes) -> AsyncIterator[bytes]:
    """The data in one chunk."""
    yield data
