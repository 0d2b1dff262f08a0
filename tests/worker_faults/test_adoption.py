"""A start that never came back is found in the vendor's list, or made again: it is neither lost nor run twice.

No worker runs at this site, and its vendor reports to nobody unless a test says so: the tests take the steps
themselves.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

from app.generations import transitions
from app.generations.attempts import Generation
from app.generations.callbacks import PATH, webhook_url
from app.generations.models import GeneratedContent
from app.predictions.protocol import Prediction
from tests.core.sites import settings_of
from tests.vendors_simulator import VendorsSimulator
from tests.worker.workbench import Workbench
from tests.worker_faults.webhooks import NEW_SECRET
from worker.process.lifecycle import WorkerContext, open_worker
from worker.steps.adopt import adopt_orphans

_MODEL = "simulator/image"
_LEASE = timedelta(seconds=60)
_TOLD = {"REPLICATE_WEBHOOK_SECRET": NEW_SECRET, "PUBLIC_URL": "http://localhost:9"}

Settings = dict[str, str]


@pytest.fixture
async def context(site: dict[str, str]) -> AsyncIterator[WorkerContext]:
    async with open_worker(settings_of(site)) as opened:
        yield opened


@pytest.mark.parametrize("name", [_MODEL, f"{_MODEL}:{{version}}", "{version}"])
async def test_the_run_that_fits_is_adopted(
    workbench: Workbench, context: WorkerContext, vendors: VendorsSimulator, name: str
) -> None:
    orphan = await lose_start(workbench, context, name.format(version=vendors.version(_MODEL)))
    lost = await run(context, orphan)

    await adopt_orphans(context)

    assert (await row_of(workbench, orphan)).prediction_id == lost.id


async def test_a_start_that_nothing_runs_for_is_made_again(workbench: Workbench, context: WorkerContext) -> None:
    orphan = await lose_start(workbench, context)

    await adopt_orphans(context)

    await check_given_back(workbench, orphan)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        pytest.param(_MODEL, {"prompt": "a lighthouse"}, id="another prompt"),
        pytest.param(_MODEL, {"seed": 2}, id="another value beside the same prompt"),
        pytest.param(_MODEL, {"size": "large"}, id="one value more"),
        pytest.param("simulator/video", {}, id="another model"),
    ],
)
async def test_a_run_of_something_else_is_not_adopted(
    workbench: Workbench, context: WorkerContext, model: str, values: dict[str, Any]
) -> None:
    orphan = await lose_start(workbench, context, seed=1)
    await run(context, orphan, model=model, input={**orphan.input, **values})

    await adopt_orphans(context)

    await check_given_back(workbench, orphan)


async def test_a_run_of_another_version_is_not_adopted(
    workbench: Workbench, context: WorkerContext, vendors: VendorsSimulator
) -> None:
    orphan = await lose_start(workbench, context, f"{_MODEL}:{vendors.version(_MODEL)}")
    await run(context, orphan, model=f"{_MODEL}:{'0' * 64}")

    await adopt_orphans(context)

    await check_given_back(workbench, orphan)


async def test_a_run_that_is_another_contents_is_not_adopted(workbench: Workbench, context: WorkerContext) -> None:
    first = await lose_start(workbench, context)
    taken = await run(context, first)
    await adopt_orphans(context)
    second = await lose_start(workbench, context, **first.input)

    await adopt_orphans(context)

    assert (await row_of(workbench, first)).prediction_id == taken.id
    await check_given_back(workbench, second)


async def test_beside_a_run_that_is_another_contents_its_own_is_adopted(
    workbench: Workbench, context: WorkerContext
) -> None:
    first = await lose_start(workbench, context)
    await run(context, first)
    await adopt_orphans(context)
    second = await lose_start(workbench, context, **first.input)
    own = await run(context, second)

    await adopt_orphans(context)

    assert (await row_of(workbench, second)).prediction_id == own.id


async def test_where_several_fit_it_waits(workbench: Workbench, context: WorkerContext) -> None:
    """To adopt the wrong one, or to start a third, would be worse than to wait for the deadline."""
    orphan = await lose_start(workbench, context)
    for _ in range(2):
        await run(context, orphan)

    await adopt_orphans(context)

    await check_waiting(workbench, orphan)


async def test_a_run_from_before_the_start_is_not_adopted_though_another_start_is_older(
    workbench: Workbench, context: WorkerContext
) -> None:
    older = await lose_start(workbench, context)
    earlier_run = await run(context, older, input={**older.input, "seed": 1})
    orphan = await lose_start(workbench, context, **earlier_run.input)
    # As if it had been started five minutes after that run.
    await workbench.execute(
        "UPDATE generated_content SET started_at = started_at + interval '5 min' WHERE id = $1", str(orphan.id)
    )

    await adopt_orphans(context)

    await check_given_back(workbench, orphan)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({}, _TOLD, id="a secret has been set, or the list leaves webhooks out"),
        pytest.param(_TOLD, {}, id="the secret has been removed"),
        pytest.param(_TOLD, {**_TOLD, "PUBLIC_URL": "https://other.example"}, id="the address has changed"),
        pytest.param(_TOLD, _TOLD, id="nothing has changed"),
    ],
)
async def test_a_run_is_found_whatever_has_become_of_the_settings(
    site: dict[str, str], workbench: Workbench, before: Settings, after: Settings
) -> None:
    async with open_worker(settings_of(site | before)) as context:
        orphan = await lose_start(workbench, context)
        lost = await run(context, orphan, webhook=webhook_url(context.resources.settings, orphan))

    async with open_worker(settings_of(site | after)) as context:
        await adopt_orphans(context)

    assert (await row_of(workbench, orphan)).prediction_id == lost.id


@pytest.mark.parametrize("settings", [{}, _TOLD], ids=["without webhooks", "with webhooks"])
@pytest.mark.parametrize(
    "tail",
    [
        pytest.param("/{other}/{attempt}/{nonce}", id="another content"),
        pytest.param("/{id}/1{attempt}/{nonce}", id="another attempt"),
        pytest.param("/{id}/{attempt}/another", id="another nonce"),
        pytest.param("", id="somebody else"),
    ],
)
async def test_a_run_that_reports_to_another_is_not_adopted(
    site: dict[str, str], workbench: Workbench, settings: Settings, tail: str
) -> None:
    async with open_worker(settings_of(site | settings)) as context:
        orphan = await lose_start(workbench, context)
        named = tail.format(id=orphan.id, attempt=orphan.attempt, nonce=orphan.webhook_nonce, other=uuid.uuid4())
        await run(context, orphan, webhook=f"http://localhost:9{PATH}{named}")

        await adopt_orphans(context)

    await check_given_back(workbench, orphan)


async def test_the_run_that_reports_to_the_attempt_is_told_from_one_that_only_looks_like_it(
    site: dict[str, str], workbench: Workbench
) -> None:
    async with open_worker(settings_of(site | _TOLD)) as context:
        orphan = await lose_start(workbench, context)
        own = await run(context, orphan, webhook=webhook_url(context.resources.settings, orphan))
        await run(context, orphan)

        await adopt_orphans(context)

    assert (await row_of(workbench, orphan)).prediction_id == own.id


async def test_a_look_through_the_list_is_one_of_the_reads_that_the_budget_allows(
    site: dict[str, str], workbench: Workbench, context: WorkerContext
) -> None:
    # A token of its own is a budget of its own.
    small = {**site, "REPLICATE_READS_PER_MINUTE": "1", "REPLICATE_API_TOKEN": "of-an-account-with-few-reads"}
    first, second = await lose_start(workbench, context), await lose_start(workbench, context, is_silent=False)
    lost = [await run(context, orphan) for orphan in (first, second)]

    async with open_worker(settings_of(small)) as few_reads:
        await adopt_orphans(few_reads)
        await workbench.let_lease_run_out(str(second.id))
        await adopt_orphans(few_reads)

    assert (await row_of(workbench, first)).prediction_id == lost[0].id
    await check_waiting(workbench, second)

    await workbench.let_lease_run_out(str(second.id))
    await adopt_orphans(context)

    assert (await row_of(workbench, second)).prediction_id == lost[1].id


async def lose_start(
    workbench: Workbench, context: WorkerContext, model: str = _MODEL, *, is_silent: bool = True, **values: Any
) -> Generation:
    """A content that a worker has begun to start, and has been silent about since; or not yet for long enough."""
    asked = await workbench.ask(model, **values)
    async with context.resources.database.transaction() as tx:
        generation = await transitions.begin(tx, uuid.UUID(asked), 0, _LEASE)
    assert generation is not None
    if is_silent:
        await workbench.let_lease_run_out(asked)
    return generation


async def run(
    context: WorkerContext,
    orphan: Generation,
    *,
    model: str | None = None,
    input: Mapping[str, Any] | None = None,
    webhook: str | None = None,
) -> Prediction:
    """Have the vendor run what the orphan is, but for what is given."""
    return await context.resources.predictions.create(
        model=model or orphan.model, input=input or orphan.input, webhook=webhook, cancel_after=3600
    )


async def row_of(workbench: Workbench, orphan: Generation) -> GeneratedContent:
    return await workbench.row(str(orphan.id))


async def check_given_back(workbench: Workbench, orphan: Generation) -> None:
    """It is to be started again: nothing at the vendor is taken for its run."""
    row = await row_of(workbench, orphan)
    assert (row.status, row.prediction_id) == ("pending", None)


async def check_waiting(workbench: Workbench, orphan: Generation) -> None:
    """Nothing is decided about it yet."""
    row = await row_of(workbench, orphan)
    assert (row.status, row.prediction_id) == ("processing", None)
