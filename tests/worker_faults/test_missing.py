"""A vendor that does not find a prediction may be wrong: only its repeated word ends an attempt.

No worker runs at this site, and the vendor is a host whose responses the test chooses.
"""

import json
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.core.sites import settings_of
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.hosts import refusing

_MISSING = (404, b'{"detail": "The requested resource could not be found."}')


@dataclass
class Vendor:
    """What the vendor says of the one prediction. `None` is that it does not know it."""

    status: str | None = "processing"
    status_if_cancelled: str | None = None
    cancels: list[str] = field(default_factory=list)

    def answer(self, path: str) -> tuple[int, bytes]:
        status = self.status
        if path.endswith("/cancel"):
            self.cancels.append(path)
            status = self.status_if_cancelled
        # A create call names no prediction.
        _, _, _, *named = path.split("/")
        shown = prediction(named[0] if named else secrets.token_hex(13), status) if status else None
        return _MISSING if shown is None else (200, json.dumps(shown).encode())


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
async def worker(site: dict[str, str], vendor: Vendor) -> AsyncIterator[ManualWorker]:
    async with (
        refusing(vendor.answer) as host,
        open_manual_worker(settings_of({**site, "REPLICATE_BASE_URL": f"http://{host}"})) as opened,
    ):
        yield opened


async def test_one_404_ends_nothing(workbench: Workbench, worker: ManualWorker, vendor: Vendor) -> None:
    asked = await ask_running(workbench)
    vendor.status = None

    await poll(workbench, worker, asked)

    assert (await workbench.row(asked)).status == "processing"
    vendor.status = "succeeded"
    await poll(workbench, worker, asked)
    assert (await workbench.row(asked)).outcome is not None


async def test_several_404s_at_once_end_nothing(workbench: Workbench, worker: ManualWorker, vendor: Vendor) -> None:
    asked = await ask_running(workbench)
    vendor.status = None

    for _ in range(5):
        await poll(workbench, worker, asked)

    assert (await workbench.row(asked)).status == "processing"
    assert vendor.cancels == []


async def test_several_404s_over_a_while_end_the_attempt_after_its_prediction_was_to_be_cancelled(
    workbench: Workbench, worker: ManualWorker, vendor: Vendor
) -> None:
    asked = await ask_running(workbench)
    vendor.status = None
    for _ in range(2):
        await poll(workbench, worker, asked)

    await let_pass(workbench, asked)
    await poll(workbench, worker, asked)

    row = await workbench.row(asked)
    assert (row.status, row.error_message) == ("failed", "The vendor does not know the prediction any more")
    assert vendor.cancels == [f"/v1/predictions/{asked}/cancel"]
    assert await workbench.held(asked) == 0


async def test_a_prediction_that_the_vendor_finds_again_is_counted_anew(
    workbench: Workbench, worker: ManualWorker, vendor: Vendor
) -> None:
    asked = await ask_running(workbench)
    for status in (None, None, "processing", None):
        vendor.status = status
        await poll(workbench, worker, asked)
        await let_pass(workbench, asked)

    await poll(workbench, worker, asked)

    assert (await workbench.row(asked)).status == "processing"
    assert vendor.cancels == []


async def test_a_prediction_that_the_vendor_finds_when_it_is_to_cancel_it_is_believed(
    workbench: Workbench, worker: ManualWorker, vendor: Vendor
) -> None:
    """It had succeeded: cancelling it came too late, and its output is there."""
    asked = await ask_running(workbench)
    vendor.status, vendor.status_if_cancelled = None, "succeeded"
    for _ in range(3):
        await poll(workbench, worker, asked)
        await let_pass(workbench, asked)
    await poll(workbench, worker, asked)

    row = await workbench.row(asked)
    assert (row.status, row.error_message) == ("processing", None)
    assert row.outcome is not None


def prediction(id: str, status: str) -> dict[str, Any]:
    """The prediction as the vendor shows it."""
    output = "words" if status == "succeeded" else None
    return {"id": id, "status": status, "output": output, "created_at": "2026-01-01T00:00:00Z"}


async def ask_running(workbench: Workbench) -> str:
    """A content whose running prediction has the content's id."""
    asked = await workbench.ask("simulator/text")
    await workbench.execute(
        "UPDATE generations SET status = 'processing', started_at = now(), prediction_id = id WHERE id = $1", asked
    )
    return asked


async def poll(workbench: Workbench, worker: ManualWorker, content_id: str) -> None:
    """Poll the vendor for the content."""
    await workbench.execute("UPDATE generations SET due_at = now() WHERE id = $1", content_id)
    await worker.steps.poll.run()


async def let_pass(workbench: Workbench, content_id: str) -> None:
    """Let half a minute pass since the vendor first did not know the prediction."""
    await workbench.execute(
        "UPDATE attempts SET missing_since = missing_since - interval '31 s' WHERE generation_id = $1", content_id
    )


async def test_one_404_to_a_create_call_ends_nothing(
    workbench: Workbench, worker: ManualWorker, vendor: Vendor
) -> None:
    asked = await workbench.ask("simulator/text")
    vendor.status = None
    for _ in range(4):
        await start(workbench, worker, asked)
    assert (await workbench.row(asked)).status == "pending"

    vendor.status = "starting"
    await start(workbench, worker, asked)

    assert (await workbench.row(asked)).prediction_id is not None
    # Its prediction is not known to be missing, because its model was.
    vendor.status = None
    await let_pass(workbench, asked)
    await poll(workbench, worker, asked)
    assert (await workbench.row(asked)).status == "processing"


async def test_several_404s_to_create_calls_over_a_while_end_the_attempt(
    workbench: Workbench, worker: ManualWorker, vendor: Vendor
) -> None:
    asked = await workbench.ask("simulator/text")
    vendor.status = None
    for _ in range(2):
        await start(workbench, worker, asked)

    await let_pass(workbench, asked)
    await start(workbench, worker, asked)

    row = await workbench.row(asked)
    assert (row.status, row.error_message) == ("failed", "The requested resource could not be found.")
    assert await workbench.held(asked) == 0


async def start(workbench: Workbench, worker: ManualWorker, content_id: str) -> None:
    """Start the content, if it waits to be started."""
    await workbench.execute("UPDATE generations SET due_at = now() WHERE id = $1", content_id)
    await worker.start(content_id)
