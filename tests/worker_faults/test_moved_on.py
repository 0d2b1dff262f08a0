"""A worker that was held up comes back when its attempt has moved on: it changes nothing, and leaves nothing behind.

No worker runs at this site: the tests take the steps of several themselves, in the order that they are about.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.content import transitions
from app.content.attempts import Generation
from app.content.callbacks import webhook_url
from app.predictions.protocol import Prediction
from tests.worker.workbench import Workbench
from worker.adoption import adopt_orphans
from worker.ending import fail
from worker.finishing import finish
from worker.lifecycle import WorkerContext, open_worker
from worker.polling import poll
from worker.starting import accept, postpone, start
from worker.sweeper import remove_abandoned

_LEASE = timedelta(seconds=60)
_LOOK_SECONDS = 0.02
# Lasts long enough to be overtaken, and not much longer.
_COPY_SECONDS = 1


@pytest.fixture
async def context(site: dict[str, str], workbench: Workbench) -> AsyncIterator[WorkerContext]:
    async with open_worker(workbench.resources.settings) as opened:
        yield opened


async def test_a_copy_of_an_attempt_that_has_ended_leaves_no_object(
    workbench: Workbench, context: WorkerContext
) -> None:
    asked = await until_ended_at_vendor(workbench, context, f"simulator/image--delivery-slow-{_COPY_SECONDS}")
    copying = asyncio.create_task(finish(context, uuid.UUID(asked), 0))
    await workbench.until_copying(asked)

    # Meanwhile its deadline comes, and what it has left in the store is removed.
    await fail(context.resources, await begun(workbench, asked), "late")
    await remove_abandoned(context)
    assert not copying.done()
    await copying

    assert (await workbench.row(asked)).error_message == "late"
    assert await workbench.objects(asked) == []
    assert await workbench.reserved(asked) == []
    assert await workbench.charges(asked) == []


async def test_a_second_copy_beside_the_first_charges_nothing_more(
    workbench: Workbench, context: WorkerContext
) -> None:
    asked = await until_ended_at_vendor(workbench, context, f"simulator/image--delivery-slow-{_COPY_SECONDS}")
    copying = asyncio.create_task(finish(context, uuid.UUID(asked), 0))
    await workbench.until_copying(asked)

    await workbench.let_lease_run_out(asked)
    await asyncio.gather(copying, finish(context, uuid.UUID(asked), 0))

    assert (await workbench.row(asked)).status == "completed"
    assert len(await workbench.charges(asked)) == 1
    (path,) = await workbench.objects(asked)
    assert await workbench.stored(path) == await workbench.delivered(asked)


async def test_a_start_that_was_made_again_is_not_taken_back_by_who_looked_for_the_first(
    workbench: Workbench, context: WorkerContext
) -> None:
    """Two workers look for a lost start; the slower one reports that nothing runs when a new start is on its way."""
    asked = await workbench.ask("simulator/image")
    first = await begin(context, asked)
    await postpone(context.resources, first, timedelta(0))
    second = await begin(context, asked)

    await postpone(context.resources, first, timedelta(0))

    row = await workbench.row(asked)
    assert (row.status, row.started_at) == ("processing", second.started_at)


async def test_a_start_that_nobody_made_is_made_again(workbench: Workbench, context: WorkerContext) -> None:
    asked = await workbench.ask("simulator/image")
    await begin(context, asked)
    await workbench.let_lease_run_out(asked)

    await adopt_orphans(context)

    assert (await workbench.row(asked)).status == "pending"


async def test_many_lost_starts_are_found_in_one_look_through_the_list(
    workbench: Workbench, context: WorkerContext
) -> None:
    asked = [await workbench.ask("simulator/image") for _ in range(5)]
    lost = [await create(context, await begin(context, content_id)) for content_id in asked]
    for content_id in asked:
        await workbench.let_lease_run_out(content_id)

    await adopt_orphans(context)

    rows = [await workbench.row(content_id) for content_id in asked]
    assert [row.prediction_id for row in rows] == [prediction.id for prediction in lost]


async def test_a_run_that_comes_to_light_after_its_attempt_has_ended_is_cancelled(
    workbench: Workbench, context: WorkerContext
) -> None:
    asked = await workbench.ask("simulator/image--slow-600")
    generation = await begin(context, asked)
    late = await create(context, generation)
    await fail(context.resources, generation, "late")

    await accept(context.resources, generation, late)

    assert [prediction["status"] for prediction in await workbench.predictions(asked)] == ["canceled"]
    assert (await workbench.row(asked)).prediction_id is None


async def test_of_two_runs_of_one_attempt_the_second_is_cancelled(workbench: Workbench, context: WorkerContext) -> None:
    asked = await workbench.ask("simulator/image--slow-600")
    generation = await begin(context, asked)
    first, second = await create(context, generation), await create(context, generation)

    await accept(context.resources, generation, first)
    await accept(context.resources, generation, second)
    await accept(context.resources, generation, first)

    status_of = {prediction["id"]: prediction["status"] for prediction in await workbench.predictions(asked)}
    assert status_of[second.id] == "canceled"
    assert status_of[first.id] != "canceled"


async def until_ended_at_vendor(workbench: Workbench, context: WorkerContext, model: str) -> str:
    """A content whose prediction has ended, and whose outputs wait to be copied."""
    asked = await workbench.ask(model)
    await start(context, uuid.UUID(asked), 0)
    while (await workbench.row(asked)).outcome is None:
        await poll(context)
        await asyncio.sleep(_LOOK_SECONDS)
    return asked


async def begin(context: WorkerContext, content_id: str) -> Generation:
    """Take the content to be started, as a worker does before it asks the vendor."""
    async with context.resources.database.transaction() as tx:
        generation = await transitions.begin(tx, uuid.UUID(content_id), 0, _LEASE)
    assert generation is not None
    return generation


async def begun(workbench: Workbench, content_id: str) -> Generation:
    """The content as whoever began it knows it."""
    row = await workbench.row(content_id)
    values = {name: getattr(row, name) for name in Generation.__dataclass_fields__ if name != "attempt"}
    return Generation(**values, attempt=row.retry_count)


async def create(context: WorkerContext, generation: Generation) -> Prediction:
    """Have the vendor run it, and keep the answer from the database."""
    resources = context.resources
    return await resources.predictions.create(
        model=generation.model,
        input=generation.input,
        webhook=webhook_url(resources.settings, generation),
        cancel_after=3600,
    )
