"""A worker that slept beyond its lease goes on: nothing that another worker has made meanwhile is harmed.

The tests run the steps of workers themselves, or freeze a worker's process with SIGSTOP.
"""

import asyncio
import hashlib
import signal
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from app.generations import outputs
from app.generations.media_types import TEXT
from app.storage.protocol import ByteRange, ObjectStore, Stored
from tests import programs
from tests.core.sites import settings_of
from tests.waiting import until
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.hosts import CutError, streaming

_SHORTEST_LEASE = "5"
_PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 20_000
_OTHER_PNG = b"\x89PNG\r\n\x1a\n" + b"1" * 20_000
_HTML = b"<html>busy, try again</html>" * 400
# Enough for the type to be known.
_HEAD = 10_000


@dataclass
class Host:
    """A delivery host that sends the next of its bodies at each request.

    None cuts the connection in the middle. While `gate` is not set, a body's second half is not sent.
    """

    bodies: list[bytes | None] = field(default_factory=list)
    gates: list[asyncio.Event] = field(default_factory=list)
    name: str = ""

    async def chunks(self, _path: str) -> AsyncIterator[bytes]:
        body = self.bodies.pop(0) if self.bodies else _PNG
        gate = self.gates.pop(0) if self.gates else None
        yield (body or _PNG)[:_HEAD]
        if body is None:
            raise CutError
        if gate is not None:
            await gate.wait()
        yield body[_HEAD:]


@dataclass(frozen=True)
class PausedStore:
    """An object store in which the first object that is written or deleted takes until the test lets it go on."""

    store: ObjectStore
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, path: str, chunks: Any, *, media_type: str) -> Stored:
        await self._pause()
        return await self.store.write(path, chunks, media_type=media_type)

    async def delete(self, path: str) -> None:
        await self._pause()
        await self.store.delete(path)

    async def verify(self, path: str) -> Stored:
        return await self.store.verify(path)

    def read(self, path: str, byte_range: ByteRange | None = None) -> AsyncIterator[bytes]:
        return self.store.read(path, byte_range)

    def public_url(self, path: str) -> str | None:
        return self.store.public_url(path)

    async def presigned_url(self, path: str, *, filename: str) -> str | None:
        return await self.store.presigned_url(path, filename=filename)

    async def probe(self) -> None:
        await self.store.probe()

    async def close(self) -> None:
        await self.store.close()

    async def _pause(self) -> None:
        self.reached.set()
        await self.go_on.wait()


@dataclass(frozen=True)
class ForgetfulStore(PausedStore):
    """An object store that loses the last bytes of what it is sent, and does not say so."""

    async def write(self, path: str, chunks: Any, *, media_type: str) -> Stored:
        sent = b"".join([chunk async for chunk in chunks])
        await self.store.write(path, _once(sent[:-10]), media_type=media_type)
        return Stored(len(sent), hashlib.sha256(sent).hexdigest())


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    host = Host()
    async with streaming(host.chunks) as name:
        host.name = name
        yield host


@pytest.fixture
async def worker(site: dict[str, str], host: Host) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(settings_of({**site, "OUTPUT_HOSTS": host.name})) as opened:
        yield opened


async def test_a_frozen_worker_overwrites_nothing_when_it_goes_on(
    site: dict[str, str], run_folder: Path, workbench: Workbench, worker: ManualWorker, host: Host
) -> None:
    """Its process is stopped while it writes a file. Another worker completes the content with other bytes."""
    gate = asyncio.Event()
    host.bodies, host.gates = [_OTHER_PNG, _PNG], [gate]
    asked = await ask_to_copy(workbench, host)
    frozen_site = {**site, "OUTPUT_HOSTS": host.name, "WORKER_LEASE_SECONDS": _SHORTEST_LEASE}
    with programs.running_worker(frozen_site, run_folder / "frozen-worker.log") as frozen:
        await workbench.until_copying(asked)
        frozen.send_signal(signal.SIGSTOP)
        await workbench.let_lease_run_out(asked)
        await worker.copy(asked)
        assert (await workbench.row(asked)).status == "completed"
        gate.set()
        frozen.send_signal(signal.SIGCONT)
        await until(lambda: is_stored(workbench, asked, _OTHER_PNG))

        await check_intact(workbench, asked, _PNG)

    # The frozen worker has ended; it may have made the row of its object again.
    await workbench.let_writers_be_gone(asked)
    await worker.steps.sweep.remove_abandoned()
    await check_intact(workbench, asked, _PNG)
    assert await workbench.objects(asked) == await workbench.reserved(asked)
    assert len(await workbench.objects(asked)) == 1


async def test_a_worker_that_goes_on_deletes_no_file_of_a_completed_content(
    workbench: Workbench, worker: ManualWorker, host: Host
) -> None:
    """An interrupted copy had detected a picture; the paused worker gets a page instead, and the next one a picture."""
    host.bodies = [None, _HTML, _PNG]
    asked = await ask_to_copy(workbench, host)
    await worker.copy(asked)
    await make_due(workbench, asked)
    paused = PausedStore(worker.resources.store)
    steps = replace(worker.steps, copy=replace(worker.steps.copy, copier=with_store(worker, paused)))
    copying = asyncio.create_task(replace(worker, steps=steps).copy(asked))
    await paused.reached.wait()

    await workbench.let_lease_run_out(asked)
    await worker.copy(asked)
    assert (await workbench.row(asked)).status == "completed"
    paused.go_on.set()
    await copying

    await check_intact(workbench, asked, _PNG)
    assert len(await workbench.charges(asked)) == 1
    await workbench.let_writers_be_gone(asked)
    await worker.steps.sweep.remove_abandoned()
    await check_intact(workbench, asked, _PNG)
    assert len(await workbench.objects(asked)) == 1


async def test_what_the_store_has_lost_is_not_taken_for_stored(
    workbench: Workbench, worker: ManualWorker, host: Host
) -> None:
    asked = await ask_to_copy(workbench, host)
    forgetful = ForgetfulStore(worker.resources.store)
    steps = replace(worker.steps, copy=replace(worker.steps.copy, copier=with_store(worker, forgetful)))

    await replace(worker, steps=steps).copy(asked)

    row = await workbench.row(asked)
    assert (row.status, row.failures) == ("processing", 1)
    assert await workbench.charges(asked) == []
    await make_due(workbench, asked)
    await worker.copy(asked)
    await check_intact(workbench, asked, _PNG)


async def test_an_interrupted_copy_that_is_handed_over_keeps_its_path(
    workbench: Workbench, worker: ManualWorker, host: Host
) -> None:
    host.bodies = [None, None, _PNG]
    asked = await ask_to_copy(workbench, host)

    for _ in range(3):
        await worker.copy(asked)
        await make_due(workbench, asked)

    await check_intact(workbench, asked, _PNG)
    (path,) = await workbench.reserved(asked)
    assert name_in(path) == asked[:8]


async def test_each_copy_whose_lease_ran_out_makes_the_name_longer(
    workbench: Workbench, worker: ManualWorker, host: Host
) -> None:
    asked = await ask_to_copy(workbench, host)
    digits = uuid.UUID(asked).hex
    names = []
    for _ in range(5):
        claimed = await claim_copy(worker, asked)
        async with worker.resources.database.transaction() as tx:
            names.append(name_in((await outputs.reserve(tx, claimed, 0, TEXT)).storage_path))
        await workbench.let_lease_run_out(asked)

    assert names == [digits[:8], digits[:12], digits, f"{digits}-4", f"{digits}-5"]


async def test_another_type_at_the_next_try_gets_a_name_of_its_own(
    workbench: Workbench, worker: ManualWorker, host: Host
) -> None:
    """The first object stays known until the sweeper removes it."""
    host.bodies = [None, _HTML]
    asked = await ask_to_copy(workbench, host)
    await worker.copy(asked)
    await make_due(workbench, asked)

    await worker.copy(asked)

    assert (await workbench.row(asked)).status == "completed"
    first, second = await workbench.reserved(asked)
    assert (name_in(first), name_in(second)) == (asked[:8], uuid.UUID(asked).hex[:12])
    await workbench.let_writers_be_gone(asked)
    await worker.steps.sweep.remove_abandoned()
    assert await workbench.reserved(asked) == [second]
    await check_intact(workbench, asked, _HTML)


async def ask_to_copy(workbench: Workbench, host: Host) -> str:
    """A content whose prediction has ended with one file at the host, which waits to be copied."""
    asked = await workbench.ask("simulator/image")
    async with workbench.resources.database.transaction() as tx:
        await tx.execute(
            "UPDATE generations SET status = 'processing', started_at = now(), due_at = now(),"
            " prediction_id = id::text, outcome = $2::jsonb WHERE id = $1",
            uuid.UUID(asked),
            f'{{"output": "http://{host.name}/file", "predict_time": null}}',
        )
    return asked


async def make_due(workbench: Workbench, content_id: str) -> None:
    """End the pause after an interrupted copy."""
    await workbench.execute("UPDATE generations SET due_at = now() WHERE id = $1", content_id)


async def claim_copy(worker: ManualWorker, content_id: str) -> Any:
    """Claim the content's copy, and do nothing with it."""
    claimed = {str(attempt.generation_id): attempt for attempt in (await worker.steps.copy.claim(1000)).rows}
    return claimed[content_id]


def with_store(worker: ManualWorker, store: ObjectStore) -> Any:
    """The worker's copier with another store."""
    return replace(worker.steps.copy.copier, store=store)


def name_in(path: str) -> str:
    """The part of a path that stands for the content's id."""
    return path.rpartition("/")[2].partition("_")[0]


async def is_stored(workbench: Workbench, content_id: str, data: bytes) -> bool:
    """Whether one of the content's objects has these bytes."""
    return data in [await workbench.stored(path) for path in await workbench.objects(content_id)]


async def check_intact(workbench: Workbench, content_id: str, data: bytes) -> None:
    """Check that the content is completed, and that its one verified file has these bytes."""
    row = await workbench.row(content_id)
    assert (row.status, row.error_message) == ("completed", None)
    async with workbench.resources.database.transaction() as tx:
        rows = await tx.fetch(
            "SELECT storage_path, sha256 FROM outputs WHERE generation_id = $1 AND size_bytes IS NOT NULL", row.id
        )
    assert [(await workbench.stored(each["storage_path"]), each["sha256"]) for each in rows] == [
        (data, hashlib.sha256(data).hexdigest())
    ]


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
