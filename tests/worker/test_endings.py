"""When a prediction ends, its content ends too: completed and charged, or failed with a reason and at no cost."""

from decimal import Decimal

import pytest

from tests.worker.workbench import Workbench

FAILURES = {
    "simulator/image--fail": "E1001: out of memory (simulated)",
    "simulator/image--fail-transient-e1000": "E1000: unknown error (simulated)",
    "simulator/image--aborted": "The prediction was aborted",
    "simulator/image--canceled": "The prediction was canceled",
    "simulator/image--output-null": "The prediction succeeded, but the vendor returned no output",
    "simulator/image--data-removed": "The prediction succeeded, but the vendor has removed the output already",
}
ODDITIES = [
    "simulator/image--unknown-status",
    "simulator/image--unknown-fields",
    "simulator/image--processing-with-output",
    "simulator/image--get-500-2",
    "simulator/image--get-429-2",
    "simulator/image--start-slow-1",
    "simulator/image--slow-1",
]
SHAPES = {
    "simulator/image--output-string": (1, "image"),
    "simulator/glb--output-list": (1, "glb"),
    "simulator/image--output-object": (3, "image"),
    "simulator/image--output-data-url": (3, "image"),
    "simulator/audio--output-data-url": (1, "audio"),
}


@pytest.fixture(scope="module")
async def asked_for(workbench: Workbench) -> dict[str, str]:
    """Contents by their model, all requested at the beginning, so that the slow ones run at the same time."""
    made = {model: await workbench.ask(model) for model in [*FAILURES, *ODDITIES]}
    return made | {model: await workbench.ask(model, num_outputs=count) for model, (count, _) in SHAPES.items()}


@pytest.mark.parametrize("model", FAILURES)
async def test_a_prediction_without_an_output_fails_with_a_reason_at_no_cost(
    workbench: Workbench, asked_for: dict[str, str], model: str
) -> None:
    asked = asked_for[model]

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.error_message) == ("failed", FAILURES[model])
    assert ended.credit_cost == 0
    assert (ended.content_type, ended.output_url) == (None, None)
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0
    assert await workbench.objects(asked) == []


@pytest.mark.parametrize("model", ODDITIES)
async def test_oddities_before_the_end_make_no_difference(
    workbench: Workbench, asked_for: dict[str, str], model: str
) -> None:
    asked = asked_for[model]

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.content_type) == ("completed", "image")
    assert await workbench.charges(asked) == [Decimal("0.1")]
    assert len(await workbench.predictions(asked)) == 1


@pytest.mark.parametrize("model", SHAPES)
async def test_files_are_found_in_an_output_of_any_shape(
    workbench: Workbench, asked_for: dict[str, str], model: str
) -> None:
    asked, (count, content_type) = asked_for[model], SHAPES[model]

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.content_type) == ("completed", content_type)
    assert len(await workbench.objects(asked)) == count


@pytest.mark.parametrize("error", ["NSFW content detected", "<b>ü</b>\n\t'; --", "x" * 5000])
async def test_the_vendors_error_message_is_kept(workbench: Workbench, error: str) -> None:
    asked = await workbench.ask("simulator/image--fail", error=error)

    assert (await workbench.until_ended(asked)).error_message == error


async def test_at_the_deadline_the_generation_fails_and_the_prediction_is_canceled(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--never-ends")
    await workbench.until_started(asked)
    assert await workbench.held(asked) == 1

    await workbench.let_deadline_pass(asked)

    ended = await workbench.until_ended(asked)
    assert (ended.status, ended.error_message) == ("failed", "The generation did not end by its deadline")
    assert [prediction["status"] for prediction in await workbench.predictions(asked)] == ["canceled"]
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


async def test_at_the_deadline_a_generation_fails_that_the_vendor_never_accepted(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--create-429-1000")
    await workbench.until_requested(asked)

    await workbench.let_deadline_pass(asked)

    ended = await workbench.until_ended(asked)
    assert ended.error_message == "The generation did not end by its deadline"
    assert await workbench.predictions(asked) == []
    assert await workbench.held(asked) == 0


async def test_the_create_call_limits_the_prediction_to_the_deadline(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image")
    ended = await workbench.until_ended(asked)

    (sent,) = [entry for entry in workbench.vendors.log("prediction") if entry["input"] == ended.input]
    seconds = int(sent["cancel_after"].removesuffix("s"))
    assert 3500 < seconds <= 3600
