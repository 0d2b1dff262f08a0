"""A create call that never returned: its prediction is found in the vendor's list, or the start is made again.

No worker runs at this site, and no webhooks are sent unless a test turns them on: the tests run the steps themselves.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from app.generations.attempts import ClaimedAttempt
from app.generations.callbacks import PATH, webhook_url
from app.generations.models import Generation
from app.predictions.protocol import Prediction
from tests.core.sites import settings_of
from tests.vendors_simulator import VendorsSimulator
from tests.worker.manual_worker import ManualWorker, open_manual_worker
from tests.worker.workbench import Workbench
from tests.worker_faults.webhooks import NEW_SECRET

_MODEL = "simulator/image"
_WITH_WEBHOOKS = {"REPLICATE_WEBHOOK_SECRET": NEW_SECRET, "PUBLIC_URL": "http://localhost:9"}

Settings = dict[str, str]


@pytest.fixture
async def worker(site: dict[str, str]) -> AsyncIterator[ManualWorker]:
    async with open_manual_worker(settings_of(site)) as opened:
        yield opened


@pytest.mark.parametrize("name", [_MODEL, f"{_MODEL}:{{version}}", "{version}"])
async def test_the_matching_prediction_is_adopted(
    workbench: Workbench, worker: ManualWorker, vendors: VendorsSimulator, name: str
) -> None:
    orphan = await lose_start(workbench, worker, name.format(version=vendors.version(_MODEL)))
    lost = await create_prediction(worker, orphan)

    await worker.steps.adopt.run()

    assert (await row_of(workbench, orphan)).prediction_id == lost.id


async def test_a_start_without_a_prediction_is_made_again(workbench: Workbench, worker: ManualWorker) -> None:
    orphan = await lose_start(workbench, worker)

    await worker.steps.adopt.run()

    await check_pending_again(workbench, orphan)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        pytest.param(_MODEL, {"prompt": "a lighthouse"}, id="another prompt"),
        pytest.param(_MODEL, {"seed": 2}, id="the same prompt with another value"),
        pytest.param(_MODEL, {"size": "large"}, id="one more value"),
        pytest.param("simulator/video", {}, id="another model"),
    ],
)
async def test_a_prediction_of_something_else_is_not_adopted(
    workbench: Workbench, worker: ManualWorker, model: str, values: dict[str, Any]
) -> None:
    orphan = await lose_start(workbench, worker, seed=1)
    await create_prediction(worker, orphan, model=model, input={**orphan.input, **values})

    await worker.steps.adopt.run()

    await check_pending_again(workbench, orphan)


async def test_a_prediction_of_another_version_is_not_adopted(
    workbench: Workbench, worker: ManualWorker, vendors: VendorsSimulator
) -> None:
    orphan = await lose_start(workbench, worker, f"{_MODEL}:{vendors.version(_MODEL)}")
    await create_prediction(worker, orphan, model="0" * 64)

    await worker.steps.adopt.run()

    await check_pending_again(workbench, orphan)


async def test_a_prediction_that_belongs_to_another_content_is_not_adopted(
    workbench: Workbench, worker: ManualWorker
) -> None:
    first = await lose_start(workbench, worker)
    taken = await create_prediction(worker, first)
    await worker.steps.adopt.run()
    second = await lose_start(workbench, worker, **first.input)

    await worker.steps.adopt.run()

    assert (await row_of(workbench, first)).prediction_id == taken.id
    await check_pending_again(workbench, second)


async def test_an_attempts_own_prediction_is_adopted_if_another_contents_matches_too(
    workbench: Workbench, worker: ManualWorker
) -> None:
    first = await lose_start(workbench, worker)
    await create_prediction(worker, first)
    await worker.steps.adopt.run()
    second = await lose_start(workbench, worker, **first.input)
    own = await create_prediction(worker, second)

    await worker.steps.adopt.run()

    assert (await row_of(workbench, second)).prediction_id == own.id


async def test_a_prediction_that_no_lost_call_can_have_made_is_left_running(
    workbench: Workbench, worker: ManualWorker
) -> None:
    """One call was lost, and two predictions fit it: the other one is somebody else's, who uses the same account."""
    orphan = await lose_start(workbench, worker, f"{_MODEL}--slow-600")
    first, second = [await create_prediction(worker, orphan) for _ in range(2)]

    await worker.steps.adopt.run()
    await worker.steps.cancel.run()

    assert (await row_of(workbench, orphan)).prediction_id == first.id
    assert await status_of(worker, second) != "canceled"


async def test_a_prediction_from_before_the_start_is_not_adopted_even_if_another_start_is_older(
    workbench: Workbench, worker: ManualWorker
) -> None:
    older = await lose_start(workbench, worker)
    earlier = await create_prediction(worker, older, input={**older.input, "seed": 1})
    orphan = await lose_start(workbench, worker, **earlier.input)
    # As if it had been started five minutes after that prediction.
    await workbench.execute(
        "UPDATE create_calls SET sent_at = sent_at + interval '5 min' WHERE generation_id = $1",
        str(orphan.generation_id),
    )

    await worker.steps.adopt.run()

    await check_pending_again(workbench, orphan)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, _WITH_WEBHOOKS, id="a secret has been set, or the list does not show webhooks"),
        pytest.param(_WITH_WEBHOOKS, {}, id="the secret has been removed"),
        pytest.param(
            _WITH_WEBHOOKS, {**_WITH_WEBHOOKS, "PUBLIC_URL": "https://other.example"}, id="the address has changed"
        ),
        pytest.param(_WITH_WEBHOOKS, _WITH_WEBHOOKS, id="nothing has changed"),
    ],
)
async def test_a_prediction_is_found_even_if_the_webhook_settings_have_changed(
    site: dict[str, str], workbench: Workbench, before: Settings, after: Settings
) -> None:
    async with open_manual_worker(settings_of(site | before)) as worker:
        orphan = await lose_start(workbench, worker)
        lost = await create_prediction(worker, orphan, webhook=webhook_url(worker.settings.public_url, orphan))

    async with open_manual_worker(settings_of(site | after)) as worker:
        await worker.steps.adopt.run()

    assert (await row_of(workbench, orphan)).prediction_id == lost.id


async def test_an_adopted_prediction_that_runs_another_model_is_cancelled_and_free(
    site: dict[str, str], workbench: Workbench
) -> None:
    """The response that would have said so was lost."""
    async with open_manual_worker(settings_of(site | _WITH_WEBHOOKS)) as worker:
        orphan = await lose_start(workbench, worker)
        webhook = webhook_url(worker.settings.public_url, orphan)
        lost = await create_prediction(worker, orphan, model="simulator/video--slow-60", webhook=webhook)
        await worker.steps.adopt.run()
        assert (await row_of(workbench, orphan)).prediction_id == lost.id

        await workbench.execute("UPDATE generations SET due_at = now() WHERE id = $1", str(orphan.generation_id))
        await worker.steps.poll.run()

        assert await status_of(worker, lost) == "canceled"
    row = await row_of(workbench, orphan)
    assert row.status == "failed"
    assert row.credit_cost == 0
    assert f"ran another model than {_MODEL}" in (row.error_message or "")


@pytest.mark.parametrize("settings", [{}, _WITH_WEBHOOKS], ids=["without webhooks", "with webhooks"])
@pytest.mark.parametrize(
    "tail",
    [
        pytest.param("/{other}/{attempt}/{nonce}", id="another content"),
        pytest.param("/{id}/1{attempt}/{nonce}", id="another attempt"),
        pytest.param("/{id}/{attempt}/another", id="another nonce"),
        pytest.param("", id="somebody else"),
    ],
)
async def test_a_prediction_with_another_webhook_is_not_adopted(
    site: dict[str, str], workbench: Workbench, settings: Settings, tail: str
) -> None:
    async with open_manual_worker(settings_of(site | settings)) as worker:
        orphan = await lose_start(workbench, worker)
        named = tail.format(
            id=orphan.generation_id, attempt=orphan.number, nonce=orphan.webhook_nonce, other=uuid.uuid4()
        )
        await create_prediction(worker, orphan, webhook=f"http://localhost:9{PATH}{named}")

        await worker.steps.adopt.run()

    await check_pending_again(workbench, orphan)


async def test_the_prediction_with_the_attempts_webhook_is_preferred_to_one_that_only_looks_like_it(
    site: dict[str, str], workbench: Workbench
) -> None:
    async with open_manual_worker(settings_of(site | _WITH_WEBHOOKS)) as worker:
        orphan = await lose_start(workbench, worker)
        own = await create_prediction(worker, orphan, webhook=webhook_url(worker.settings.public_url, orphan))
        await create_prediction(worker, orphan)

        await worker.steps.adopt.run()

    assert (await row_of(workbench, orphan)).prediction_id == own.id


async def test_reading_the_vendors_list_takes_a_read_from_the_budget(
    site: dict[str, str], workbench: Workbench, worker: ManualWorker
) -> None:
    # Each token has a budget of its own.
    small = {**site, "REPLICATE_READS_PER_MINUTE": "1", "REPLICATE_API_TOKEN": "of-an-account-with-few-reads"}
    first, second = await lose_start(workbench, worker), await lose_start(workbench, worker, is_silent=False)
    lost = [await create_prediction(worker, orphan) for orphan in (first, second)]

    async with open_manual_worker(settings_of(small)) as few_reads:
        await few_reads.steps.adopt.run()
        await workbench.let_lease_run_out(str(second.generation_id))
        await few_reads.steps.adopt.run()

    assert (await row_of(workbench, first)).prediction_id == lost[0].id
    await check_waiting(workbench, second)

    await workbench.let_lease_run_out(str(second.generation_id))
    await worker.steps.adopt.run()

    assert (await row_of(workbench, second)).prediction_id == lost[1].id


async def lose_start(
    workbench: Workbench, worker: ManualWorker, model: str = _MODEL, *, is_silent: bool = True, **values: Any
) -> ClaimedAttempt:
    """A content whose start a worker has claimed and not finished. If it `is_silent`, the lease has ended."""
    asked = await workbench.ask(model, **values)
    generation = await worker.claim_start(asked)
    assert generation is not None
    if is_silent:
        await workbench.let_lease_run_out(asked)
    return generation


async def create_prediction(
    worker: ManualWorker,
    orphan: ClaimedAttempt,
    *,
    model: str | None = None,
    input: Mapping[str, Any] | None = None,
    webhook: str | None = None,
) -> Prediction:
    """Create the orphan's prediction at the vendor, with other values if they are given."""
    return await worker.resources.predictions.create(
        model=model or orphan.model, input=input or orphan.input, webhook=webhook, cancel_after=3600
    )


async def status_of(worker: ManualWorker, prediction: Prediction) -> str:
    """How far the prediction is at the vendor."""
    return (await worker.resources.predictions.get(prediction.id)).status


async def row_of(workbench: Workbench, orphan: ClaimedAttempt) -> Generation:
    return await workbench.row(str(orphan.generation_id))


async def check_pending_again(workbench: Workbench, orphan: ClaimedAttempt) -> None:
    """Check that the orphan is to be started again: no prediction was adopted."""
    row = await row_of(workbench, orphan)
    assert (row.status, row.prediction_id) == ("pending", None)


async def check_waiting(workbench: Workbench, orphan: ClaimedAttempt) -> None:
    """Check that the orphan still waits: nothing has been decided about it."""
    row = await row_of(workbench, orphan)
    assert (row.status, row.prediction_id) == ("processing", None)
