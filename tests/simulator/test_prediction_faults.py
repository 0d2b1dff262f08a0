"""Every fault of a prediction except those of its files and webhooks."""

from typing import Any

import httpx
import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError

from tests.simulator.server import RunningSimulator
from tests.waiting import PATIENCE, wait_until

E1001 = "E1001: out of memory (simulated)"


@pytest.mark.parametrize(
    ("suffix", "status", "error"),
    [
        ("fail", "failed", E1001),
        ("fail-transient-e1000", "failed", "E1000: unknown error (simulated)"),
        ("aborted", "aborted", None),
        ("canceled", "canceled", None),
        ("never-ends", "processing", None),
        ("slow-1000", "processing", None),
        ("start-slow-1000", "starting", None),
        ("unknown-status--never-ends", "hibernating", None),
    ],
)
def test_runs_end_as_their_fault_says(simulator: RunningSimulator, suffix: str, status: str, error: str | None) -> None:
    prediction = simulator.run(f"simulator/image--{suffix}")

    assert (prediction["status"], prediction["error"]) == (status, error)
    assert prediction["output"] is None


def test_the_input_can_name_its_fault(simulator: RunningSimulator) -> None:
    prediction = simulator.run("black-forest-labs/flux-schnell--fail", error="NSFW content detected")

    assert (prediction["status"], prediction["error"]) == ("failed", "NSFW content detected")


def test_an_aborted_prediction_never_started(simulator: RunningSimulator) -> None:
    prediction = simulator.run("simulator/image--aborted")

    assert prediction["started_at"] is None
    assert "predict_time" not in prediction["metrics"]


def test_no_prediction_runs_longer_than_half_an_hour(simulator: RunningSimulator) -> None:
    prediction = simulator.run("simulator/image--never-ends")
    simulator.skip(1800)

    assert (prediction["status"], simulator.read(prediction["id"])["status"]) == ("processing", "failed")


def test_transient_failures_end(simulator: RunningSimulator) -> None:
    runs = [simulator.run("simulator/image--fail-transient-e1000-1", prompt=prompt) for prompt in ("a", "a", "b")]

    assert [run["status"] for run in runs] == ["failed", "succeeded", "failed"]


def test_output_can_exist_before_the_end(simulator: RunningSimulator) -> None:
    created = simulator.create("simulator/image--processing-with-output--slow-100").json()
    simulator.skip(50)
    prediction = simulator.read(created["id"])
    waited = simulator.create("simulator/image--processing-with-output--slow-100", {"Prefer": "wait"})

    assert prediction["status"] == "processing"
    assert simulator.http.get(prediction["output"][0]).status_code == 200
    assert (waited.status_code, waited.json()["status"]) == (201, "processing")
    assert waited.json()["output"]


def test_data_can_be_removed_before_the_success_is_seen(simulator: RunningSimulator) -> None:
    prediction = simulator.run("simulator/image--data-removed")

    assert (prediction["status"], prediction["output"], prediction["data_removed"]) == ("succeeded", None, True)


def test_objects_can_have_unknown_members(simulator: RunningSimulator) -> None:
    prediction = simulator.run("simulator/image--unknown-fields")

    assert prediction["aura"] == {"colour": "unknown"}
    assert prediction["metrics"]["aura_count"] == 7


@pytest.mark.parametrize("suffix", ["create-401", "create-402", "create-422", "create-500"])
async def test_creations_are_refused(replicate_client: Client, simulator: RunningSimulator, suffix: str) -> None:
    with pytest.raises(ReplicateError) as refusal:
        await replicate_client.predictions.async_create(
            version=f"simulator/image--{suffix}", input={"prompt": "a boat"}
        )

    assert refusal.value.status == int(suffix[-3:])
    assert [entry["status"] for entry in simulator.log("prediction")] == [refusal.value.status]
    assert simulator.http.get("/_sim/predictions").json()["predictions"] == []


@pytest.mark.parametrize(
    ("suffix", "header", "in_body", "text"),
    [
        ("create-429", "1", 1, "resets in ~1s"),
        ("create-429-no-header", None, 1, "resets in ~1s"),
        ("create-429-short", None, None, "resets in ~1s"),
        ("create-429-silent", None, None, "Request was throttled."),
    ],
)
def test_creations_are_throttled_twice(
    simulator: RunningSimulator, suffix: str, header: str | None, in_body: int | None, text: str
) -> None:
    responses = [simulator.create(f"simulator/image--{suffix}") for _ in range(3)]

    throttled = responses[0].json()
    assert [response.status_code for response in responses] == [429, 429, 201]
    assert responses[0].headers.get("retry-after") == header
    assert throttled.get("retry_after") == in_body
    assert text in throttled["detail"]


def test_a_gateway_may_respond_with_html(simulator: RunningSimulator) -> None:
    responses = [simulator.create("simulator/image--create-502-html-1") for _ in range(2)]

    assert [response.status_code for response in responses] == [502, 201]
    assert responses[0].text.startswith("<html>")


def test_the_connection_of_an_accepted_creation_may_be_dropped(simulator: RunningSimulator) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        simulator.create("simulator/image--create-accept-then-drop")

    assert_runs_unanswered(simulator)


def test_an_accepted_creation_may_never_get_a_response(simulator: RunningSimulator) -> None:
    body = {"version": "simulator/image--create-accept-then-timeout", "input": {"prompt": "a boat"}}
    with pytest.raises(httpx.ReadTimeout):
        simulator.http.post("/replicate/v1/predictions", json=body, timeout=httpx.Timeout(PATIENCE, read=0.1))

    assert_runs_unanswered(simulator)


def assert_runs_unanswered(simulator: RunningSimulator) -> None:
    wait_until(lambda: simulator.http.get("/_sim/predictions").json()["predictions"])
    simulator.skip(60)
    [prediction] = simulator.http.get("/_sim/predictions").json()["predictions"]
    [entry] = simulator.log("prediction")
    assert prediction["status"] == "succeeded"
    assert entry["id"] == prediction["id"]


def test_reading_may_fail_for_a_while(simulator: RunningSimulator) -> None:
    url = simulator.create("simulator/image--get-500-2").json()["urls"]["get"]

    assert [simulator.http.get(url).status_code for _ in range(3)] == [500, 500, 200]


async def test_clients_repeat_throttled_readings_by_themselves(
    replicate_client: Client, simulator: RunningSimulator
) -> None:
    prediction = simulator.create("simulator/image--get-429-1").json()

    throttled = simulator.http.get(prediction["urls"]["get"])
    read = await replicate_client.predictions.async_get(prediction["id"])

    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "1")
    assert read.id == prediction["id"]


def test_reading_may_be_slow(simulator: RunningSimulator) -> None:
    url = simulator.create("simulator/image--get-slow-30").json()["urls"]["get"]

    with pytest.raises(httpx.ReadTimeout):
        simulator.http.get(url, timeout=httpx.Timeout(PATIENCE, read=0.1))
    quick = simulator.create("simulator/image--get-slow-0.01").json()["urls"]["get"]
    assert simulator.http.get(quick).status_code == 200


async def test_a_cancelation_may_come_too_late(replicate_client: Client, simulator: RunningSimulator) -> None:
    starting = simulator.create("simulator/image--cancel-race--start-slow-100").json()
    running = simulator.create("simulator/image--cancel-race--slow-100").json()
    simulator.skip(1)

    canceled = [await replicate_client.predictions.async_cancel(each["id"]) for each in (starting, running)]

    assert [each.status for each in canceled] == ["succeeded", "succeeded"]
    assert all(simulator.http.get(each.output[0]).status_code == 200 for each in canceled if each.output)


def test_ordered_faults_apply_to_the_requests_that_they_match(simulator: RunningSimulator) -> None:
    simulator.order("create-500", times=1, model="simulator/*")
    simulator.order("fail", nth=2, model="simulator/json")
    created = [simulator.create(model) for model in ("simulator/json", "minimax/video-01", "simulator/json")]
    third = simulator.run("simulator/json")
    simulator.order("get-500", times=1, path=f"*/predictions/{third['id']}")
    urls = [created[1].json()["urls"]["get"], third["urls"]["get"], third["urls"]["get"]]

    # The first request for the json model matched both rules, so the second one is the second match of `fail`.
    assert [response.status_code for response in created] == [500, 201, 201]
    assert simulator.read(created[2].json()["id"])["status"] == "failed"
    assert third["status"] == "succeeded"
    assert [simulator.http.get(url).status_code for url in urls] == [200, 500, 200]


@pytest.mark.parametrize(("fault", "status"), [("list-500", 500), ("list-429", 429)])
def test_the_list_may_fail_if_that_is_ordered(simulator: RunningSimulator, fault: str, status: int) -> None:
    simulator.run(f"simulator/image--{fault}")
    simulator.order(fault, times=1)

    assert [simulator.http.get("/replicate/v1/predictions").status_code for _ in range(2)] == [status, 200]


def test_a_suffix_works_behind_a_version_and_under_a_models_path(simulator: RunningSimulator) -> None:
    by_version = simulator.run(f"simulator/image--fail:{'0' * 64}")
    path = "/replicate/v1/models/simulator/image--fail/predictions"
    by_path: dict[str, Any] = simulator.http.post(path, json={"input": {"prompt": "a boat"}}).json()
    simulator.skip(60)

    assert by_version["status"] == "failed"
    assert simulator.read(by_path["id"])["status"] == "failed"
