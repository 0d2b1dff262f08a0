"""The client against the simulator: predictions, how they end, and the error for every refusal."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from app.core.settings import Settings
from app.predictions.open import open_prediction_client
from app.predictions.protocol import (
    Prediction,
    PredictionDeniedError,
    PredictionError,
    PredictionMissingError,
    PredictionRejectedError,
    PredictionThrottledError,
    PredictionUnavailableError,
    PredictionUncertainError,
)
from app.predictions.replicate import ReplicateClient
from tests.predictions.conftest import TOKEN
from tests.vendors_simulator import VendorsSimulator

WEBHOOK = "http://127.0.0.1:9/webhooks/replicate?content=1&attempt=1"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def create(
    client: ReplicateClient,
    model: str = "simulator/json",
    *,
    input: Mapping[str, Any] | None = None,
    webhook: str | None = None,
    cancel_after: int = 600,
) -> Prediction:
    return await client.create(
        model=model, input=input or {"prompt": "a boat"}, webhook=webhook, cancel_after=cancel_after
    )


async def test_a_run_is_started_without_waiting_for_its_end(
    client: ReplicateClient, simulator: VendorsSimulator
) -> None:
    prediction = await create(client, "simulator/image--slow-60", webhook=WEBHOOK, cancel_after=90)

    assert (prediction.is_terminal, prediction.output, prediction.predict_time) == (False, None, None)
    assert prediction.input == {"prompt": "a boat"}
    assert prediction.webhook == WEBHOOK
    [request] = simulator.log("prediction")
    assert (request["id"], request["version"]) == (prediction.id, "simulator/image--slow-60")
    assert (request["webhook"], request["cancel_after"]) == (WEBHOOK, "90s")


async def test_a_run_that_has_ended_has_output_and_computing_time(
    client: ReplicateClient, simulator: VendorsSimulator
) -> None:
    created = await create(client, "black-forest-labs/flux-schnell")
    simulator.skip(60)

    prediction = await client.get(created.id)

    assert (prediction.id, prediction.status, prediction.is_terminal) == (created.id, "succeeded", True)
    assert prediction.model == "black-forest-labs/flux-schnell"
    assert [url.startswith(f"{simulator.url}/delivery/") for url in prediction.output] == [True]
    assert prediction.predict_time == Decimal("0.3")
    assert prediction.created_at == created.created_at


@pytest.mark.parametrize("form", ["{owner}/{name}:{version}", "{version}"])
async def test_a_run_can_be_created_by_version(client: ReplicateClient, simulator: VendorsSimulator, form: str) -> None:
    version = simulator.version("stability-ai/sdxl")

    prediction = await create(client, form.format(owner="stability-ai", name="sdxl", version=version))

    assert (prediction.model, prediction.version) == ("stability-ai/sdxl", version)


@pytest.mark.parametrize(
    ("fault", "status", "is_terminal"),
    [
        ("fail", "failed", True),
        ("canceled", "canceled", True),
        ("aborted", "aborted", True),
        ("data-removed", "succeeded", True),
        ("unknown-fields", "succeeded", True),
        ("never-ends", "processing", False),
        ("never-ends--unknown-status", "hibernating", False),
    ],
)
async def test_every_state_is_reported(
    client: ReplicateClient, simulator: VendorsSimulator, fault: str, status: str, is_terminal: bool
) -> None:
    created = await create(client, f"simulator/json--{fault}", cancel_after=3600)
    simulator.skip(60)

    prediction = await client.get(created.id)

    assert (prediction.status, prediction.is_terminal) == (status, is_terminal)
    assert prediction.data_removed is (fault == "data-removed")
    assert prediction.error == ("E1001: out of memory (simulated)" if fault == "fail" else None)


async def test_a_run_is_cancelled(client: ReplicateClient, simulator: VendorsSimulator) -> None:
    created = await create(client, "simulator/json--never-ends")

    cancelled = await client.cancel(created.id)

    assert (cancelled.id, cancelled.status) == (created.id, "canceled")


@pytest.mark.parametrize(("fault", "seconds_before"), [("fail", 60), ("cancel-race--slow-60", 0)])
async def test_cancelling_a_run_that_has_ended_does_not_change_it(
    client: ReplicateClient, simulator: VendorsSimulator, fault: str, seconds_before: float
) -> None:
    created = await create(client, f"simulator/json--{fault}")
    simulator.skip(seconds_before)

    assert (await client.cancel(created.id)).status == ("failed" if fault == "fail" else "succeeded")


async def test_the_vendor_cancels_a_run_that_takes_too_long(
    client: ReplicateClient, simulator: VendorsSimulator
) -> None:
    created = await create(client, "simulator/json--never-ends", cancel_after=30)
    simulator.skip(31)

    assert (await client.get(created.id)).status == "canceled"


@pytest.mark.parametrize(
    ("fault", "kind", "text"),
    [
        ("create-401", PredictionDeniedError, "You did not pass a valid authentication token"),
        ("create-402", PredictionDeniedError, "You have insufficient credit to run this model."),
        ("create-422", PredictionRejectedError, "Invalid version or not permitted: The specified version"),
        ("create-429", PredictionThrottledError, "Request was throttled."),
        ("create-500", PredictionUncertainError, "An internal error occurred"),
        ("create-502-html", PredictionUncertainError, "The model provider answered with status 502"),
        ("create-accept-then-drop", PredictionUncertainError, "The model provider at 127.0.0.1:"),
    ],
)
async def test_each_failed_create_has_its_error_and_is_sent_once(
    client: ReplicateClient, simulator: VendorsSimulator, fault: str, kind: type[PredictionError], text: str
) -> None:
    # By version, because a create by name that is refused is sent again with the newest version.
    version = simulator.version("simulator/json")
    with pytest.raises(PredictionError) as failed:
        await create(client, f"simulator/json--{fault}:{version}")

    assert type(failed.value) is kind
    assert failed.value.text.startswith(text)
    assert len(simulator.log("prediction")) == 1


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [("create-429", 1), ("create-429-no-header", 1), ("create-429-short", 1), ("create-429-silent", 5)],
)
async def test_a_throttled_create_says_how_long_to_wait(client: ReplicateClient, fault: str, seconds: float) -> None:
    with pytest.raises(PredictionThrottledError) as throttled:
        await create(client, f"simulator/json--{fault}")

    assert throttled.value.wait_seconds == seconds


@pytest.mark.parametrize("token", ["revoked", "unpaid", "forbidden"])
async def test_an_account_that_is_refused_is_refused_by_every_call(simulator: VendorsSimulator, token: str) -> None:
    client = ReplicateClient(simulator.replicate_url, token)

    for call in (create(client), client.get("x"), client.cancel("x"), anext(client.recent(LONG_AGO))):
        with pytest.raises(PredictionDeniedError):
            await call

    await client.close()


async def test_a_run_whose_create_got_no_response_is_found_by_its_webhook(
    client: ReplicateClient, simulator: VendorsSimulator
) -> None:
    with pytest.raises(PredictionUncertainError):
        await create(client, "simulator/json--create-accept-then-drop", webhook=WEBHOOK)

    found = [prediction.id async for prediction in client.recent(LONG_AGO) if prediction.webhook == WEBHOOK]

    assert found == [simulator.log("prediction")[0]["id"]]


@pytest.mark.parametrize("prediction_id", ["ufawqhfynnddngldkgtslldrkq", "../account", "a/b?c#d", " "])
async def test_an_id_that_the_vendor_does_not_know_is_missing(client: ReplicateClient, prediction_id: str) -> None:
    with pytest.raises(PredictionMissingError):
        await client.get(prediction_id)
    with pytest.raises(PredictionMissingError):
        await client.cancel(prediction_id)


@pytest.mark.parametrize(
    ("fault", "kind"), [("get-429-1", PredictionThrottledError), ("get-500-1", PredictionUnavailableError)]
)
async def test_a_refused_get_fails_at_once_and_is_not_repeated(
    client: ReplicateClient, fault: str, kind: type[PredictionError]
) -> None:
    """The fault affects one request only: a second one within the same call would have succeeded."""
    created = await create(client, f"simulator/json--{fault}")

    with pytest.raises(kind):
        await client.get(created.id)

    assert (await client.get(created.id)).id == created.id


async def test_calls_end_at_their_deadline(client: ReplicateClient, simulator: VendorsSimulator) -> None:
    prediction_id = (await create(client, "simulator/json--get-slow-60")).id
    hurried = ReplicateClient(simulator.replicate_url, TOKEN, deadline=0.1)

    with pytest.raises(PredictionUnavailableError):
        await hurried.get(prediction_id)
    with pytest.raises(PredictionUncertainError):
        await create(hurried, "simulator/json--create-accept-then-timeout")

    await hurried.close()


async def test_recent_runs_are_listed_newest_first_over_all_pages(client: ReplicateClient) -> None:
    async with asyncio.TaskGroup() as group:
        created = [group.create_task(create(client)) for _ in range(201)]

    recent = [prediction async for prediction in client.recent(LONG_AGO)]

    assert {prediction.id for prediction in recent} == {task.result().id for task in created}
    assert len(recent) == 201
    moments = [prediction.created_at for prediction in recent]
    assert moments == sorted(moments, reverse=True)


async def test_recent_runs_end_where_older_ones_begin(client: ReplicateClient, simulator: VendorsSimulator) -> None:
    await create(client)
    simulator.skip(10)
    second = await create(client)
    simulator.skip(10)
    third = await create(client)

    recent = [prediction.id async for prediction in client.recent(second.created_at - timedelta(seconds=5))]

    assert recent == [third.id, second.id]


async def test_no_recent_runs(client: ReplicateClient) -> None:
    assert [prediction async for prediction in client.recent(LONG_AGO)] == []


async def test_the_settings_hold_the_vendors_address(simulator: VendorsSimulator) -> None:
    settings = Settings(replicate_base_url=simulator.replicate_url, replicate_api_token=SecretStr(TOKEN))
    client = open_prediction_client(settings)

    created = await client.create(model="simulator/json", input={}, webhook=None, cancel_after=60)

    assert (await client.get(created.id)).id == created.id
    await client.close()
