"""However the delivery host behaves, a content is completed with the right bytes or fails."""

import pytest

from tests.worker.manual_worker import open_manual_worker
from tests.worker.workbench import Workbench

TROUBLED = [
    "simulator/image--delivery-500-2",
    "simulator/image--delivery-truncated-2",
    "simulator/image--delivery-redirect-1",
    "simulator/image--delivery-slow-1",
    "simulator/image--big-12",
]


@pytest.fixture(scope="module")
async def asked_for(workbench: Workbench) -> dict[str, str]:
    """Contents by their model, all requested at the beginning, so that the slow ones run at the same time."""
    return {model: await workbench.ask(model) for model in TROUBLED}


@pytest.mark.parametrize("model", TROUBLED)
async def test_a_file_is_copied_in_the_end_if_its_delivery_fails_at_first(
    workbench: Workbench, asked_for: dict[str, str], model: str
) -> None:
    asked = asked_for[model]

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.content_type) == ("completed", "image")
    (path,) = await workbench.objects(asked)
    assert await workbench.stored(path) == await workbench.delivered(asked)
    assert len(await workbench.charges(asked)) == 1


async def test_half_a_file_is_never_treated_as_complete(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--delivery-truncated")
    await workbench.until_delivered(asked, times=3)

    assert (await workbench.row(asked)).status == "processing"
    assert await workbench.objects(asked) == []
    assert await workbench.charges(asked) == []

    await workbench.let_deadline_pass(asked)
    ended = await workbench.until_ended(asked)
    assert (ended.status, ended.error_message) == ("failed", "The generation did not end by its deadline")
    assert await workbench.held(asked) == 0


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("delivery-404", "the output's host answered 404"),
        ("delivery-redirect-elsewhere", "the output's host is not allowed"),
    ],
)
async def test_a_file_that_cannot_be_downloaded_fails_with_a_reason_at_no_cost(
    workbench: Workbench, fault: str, reason: str
) -> None:
    asked = await workbench.ask(f"simulator/image--{fault}")

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.error_message) == ("failed", f"The output could not be copied: {reason}")
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


async def test_files_copied_before_a_failure_are_removed(workbench: Workbench) -> None:
    """The second of two files is missing, so the first one must not stay in the store."""
    workbench.order_fault("delivery-404", nth=2)
    asked = await workbench.ask("simulator/image", num_outputs=2)
    assert (await workbench.until_ended(asked)).status == "failed"

    await workbench.let_writers_be_gone(asked)
    async with open_manual_worker(workbench.resources.settings) as worker:
        await worker.steps.sweep.remove_abandoned()

    assert await workbench.objects(asked) == []
    assert await workbench.reserved(asked) == []


async def test_an_html_page_instead_of_a_file_is_not_stored_as_an_image(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--delivery-wrong-type")

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.content_type) == ("completed", "other")
