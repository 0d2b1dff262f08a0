"""Whatever the output of a model, its files are stored under paths of their own, with the vendor's bytes."""

import base64
import json
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.catalog import service as catalog
from app.catalog.pricing import generation_ceiling
from app.core.attribution import Attribution
from app.core.clock import now
from app.credits import service as credits
from app.generations.models import Generation
from app.generations.service import hold_reference
from app.queue.protocol import WakeKind
from tests import programs
from tests.worker.manual_worker import open_manual_worker
from tests.worker.workbench import Workbench

_MODEL = "simulator/image"


@pytest.fixture(scope="module", autouse=True)
def _worker(site: dict[str, str], run_folder: Path) -> Iterator[None]:
    with programs.running_worker(site, run_folder / "outputs-worker.log"):
        yield


@pytest.mark.parametrize("model", [_MODEL, f"{_MODEL}--output-object"])
async def test_each_file_of_an_output_is_stored(workbench: Workbench, model: str) -> None:
    asked = await workbench.ask(model, num_outputs=3)

    ended = await workbench.until_ended(asked)

    urls = re.findall(r'"(http://[^"]+)"', json.dumps(await workbench.output(asked)))
    delivered = [await download(url) for url in urls]
    assert len(set(delivered)) == 3
    paths = await workbench.reserved(asked)
    assert [await workbench.stored(path) for path in paths] == delivered
    stem = f"generation/image/{asked[:8]}_{ended.created_at.astimezone(UTC):%Y%m%d_%H%M%S}"
    assert paths == [f"{stem}.png", f"{stem}_2.png", f"{stem}_3.png"]
    assert sorted(await workbench.objects(asked)) == sorted(paths)


async def test_files_inside_the_output_are_stored(workbench: Workbench) -> None:
    asked = await workbench.ask(f"{_MODEL}--output-data-url", num_outputs=2)

    ended = await workbench.until_ended(asked)

    sent = [base64.b64decode(url.partition(",")[2]) for url in await workbench.output(asked)]
    assert [await workbench.stored(path) for path in await workbench.reserved(asked)] == sent
    assert (ended.content_type, ended.output_url) == ("image", None)


@pytest.mark.parametrize(("model", "extension"), [("simulator/text", "txt"), ("simulator/json", "json")])
async def test_an_output_that_is_not_a_file_is_stored_as_one(workbench: Workbench, model: str, extension: str) -> None:
    asked = await workbench.ask(model)

    await workbench.until_ended(asked)

    (path,) = await workbench.reserved(asked)
    stored = (await workbench.stored(path)).decode()
    answered = await workbench.output(asked)
    assert stored == "".join(answered) if extension == "txt" else json.loads(stored) == answered
    assert path.endswith(f".{extension}")


async def test_two_contents_never_share_a_path(workbench: Workbench) -> None:
    """Their ids begin with the same eight digits, in the same second: one path gets twelve digits."""
    head, created_at = uuid.uuid4().hex[:8], now().replace(microsecond=0)
    ids = [uuid.UUID(hex=head + uuid.uuid4().hex[8:]) for _ in range(2)]

    for number, content_id in enumerate(ids):
        await ask_as(workbench, content_id, created_at + timedelta(milliseconds=number))
    ended = [await workbench.until_ended(str(content_id)) for content_id in ids]

    assert [row.status for row in ended] == ["completed", "completed"]
    paths = [path for content_id in ids for path in await workbench.reserved(str(content_id))]
    moment = f"{created_at:%Y%m%d_%H%M%S}"
    short = f"generation/image/{head}_{moment}.png"
    longer = {f"generation/image/{content_id.hex[:12]}_{moment}.png" for content_id in ids}
    assert short in paths
    assert len(longer & set(paths)) == 1
    stored = [await workbench.stored(path) for path in paths]
    assert stored == [await workbench.delivered(str(content_id)) for content_id in ids]
    assert stored[0] != stored[1]


async def test_a_failed_attempts_files_are_removed_and_the_next_attempts_files_stay(workbench: Workbench) -> None:
    workbench.order_fault("delivery-404", nth=2)
    asked = await workbench.ask(_MODEL, num_outputs=2)
    assert (await workbench.until_ended(asked)).status == "failed"

    await workbench.retry(asked)
    assert (await workbench.until_ended(asked)).status == "completed"
    await workbench.let_writers_be_gone(asked)
    async with open_manual_worker(workbench.resources.settings) as worker:
        await worker.steps.sweep.remove_abandoned()

    paths = await workbench.reserved(asked)
    assert [re.sub(r".*_r", "_r", path) for path in paths] == ["_r1.png", "_r1_2.png"]
    assert sorted(await workbench.objects(asked)) == sorted(paths)


async def ask_as(workbench: Workbench, content_id: uuid.UUID, created_at: datetime) -> None:
    """Request a picture with this id and time of creation."""
    resources, organization = workbench.resources, workbench.organization
    async with resources.database.transaction() as tx:
        model = await catalog.get_generation_model(tx, _MODEL)
        reference = hold_reference(content_id, 0)
        ceiling = generation_ceiling(model.price)
        payer = Attribution(organization_id=organization.id)
        await credits.hold(tx, payer, reference=reference, amount=ceiling, expires_in=None)
        asked = Generation(
            id=content_id,
            organization_id=organization.id,
            user_id=organization.user_id,
            model=_MODEL,
            input={"prompt": f"number {content_id}"},
            prompt="",
            price_id=model.price.id,
            max_retries=3,
            created_at=created_at,
            deadline_at=created_at + timedelta(hours=1),
        )
        tx.session.add(asked)
        resources.queue.wake(tx, WakeKind.START)


async def download(url: Any) -> bytes:
    """The bytes that the delivery host has at this URL."""
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).raise_for_status().content
