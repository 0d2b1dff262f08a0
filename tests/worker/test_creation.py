"""However the vendor responds to the create call, at most one prediction runs for an attempt."""

import pytest

from tests.worker.workbench import Workbench


@pytest.mark.parametrize("fault", ["create-429-1", "create-429-short-1"])
async def test_a_throttled_start_is_tried_again(workbench: Workbench, fault: str) -> None:
    asked = await workbench.ask(f"simulator/image--{fault}")

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.error_message) == ("completed", None)
    assert await workbench.creations(asked) == [429, 201]
    assert len(await workbench.predictions(asked)) == 1


async def test_a_start_that_the_vendor_rejects_fails_with_its_message(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--create-422")

    ended = await workbench.until_ended(asked)

    assert ended.status == "failed"
    assert "The specified version does not exist" in (ended.error_message or "")
    assert set(await workbench.creations(asked)) == {422}
    assert await workbench.predictions(asked) == []
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


async def test_a_model_that_the_vendor_does_not_know_fails_with_its_message(workbench: Workbench) -> None:
    asked = await workbench.ask("nobody/knows")

    ended = await workbench.until_ended(asked)

    assert ended.status == "failed"
    assert "The specified version does not exist" in (ended.error_message or "")
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


@pytest.mark.parametrize("fault", ["create-500-1", "create-502-html-1"])
async def test_an_uncertain_start_that_was_not_accepted_is_tried_again(workbench: Workbench, fault: str) -> None:
    asked = await workbench.ask(f"simulator/image--{fault}")
    await _let_lease_of_first_start_run_out(workbench, asked)

    ended = await workbench.until_ended(asked)

    assert ended.status == "completed"
    assert (await workbench.creations(asked))[1:] == [201]
    assert len(await workbench.predictions(asked)) == 1


@pytest.mark.parametrize("fault", ["create-accept-then-drop", "create-accept-then-timeout"])
async def test_an_uncertain_start_that_was_accepted_is_adopted(workbench: Workbench, fault: str) -> None:
    asked = await workbench.ask(f"simulator/image--{fault}")
    await _let_lease_of_first_start_run_out(workbench, asked)

    ended = await workbench.until_ended(asked)

    (prediction,) = await workbench.predictions(asked)
    assert (ended.status, ended.prediction_id) == ("completed", prediction["id"])
    assert len(await workbench.creations(asked)) == 1
    assert len(await workbench.charges(asked)) == 1


async def _let_lease_of_first_start_run_out(workbench: Workbench, content_id: str) -> None:
    await workbench.until_requested(content_id)
    await workbench.let_lease_run_out(content_id)


async def test_a_version_of_another_model_buys_nothing(workbench: Workbench) -> None:
    dear = workbench.vendors.version("stability-ai/sdxl")
    asked = await workbench.ask(f"simulator/image:{dear}")

    ended = await workbench.until_ended(asked)

    assert (ended.status, ended.error_message) == ("failed", f"The model simulator/image has no version {dear}")
    assert await workbench.creations(asked) == []
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0


async def test_a_prediction_that_runs_another_model_is_cancelled_and_free(workbench: Workbench) -> None:
    asked = await workbench.ask("simulator/image--other-model--slow-60")

    ended = await workbench.until_ended(asked)

    assert ended.status == "failed"
    assert "ran another model than simulator/image--other-model--slow-60" in (ended.error_message or "")
    assert [prediction["status"] for prediction in await workbench.predictions(asked)] == ["canceled"]
    assert await workbench.charges(asked) == []
    assert await workbench.held(asked) == 0
