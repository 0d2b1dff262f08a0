"""Replicate's API as its own client sees it."""

import re
from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError

from simulator.config import SimulatorConfig
from simulator.replicate.models import MODELS
from tests.images.drawn import picture
from tests.simulator.server import RunningSimulator, running_simulator
from tests.waiting import wait_until

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


@pytest.mark.parametrize("model", [model for model in MODELS if model.is_official or model.is_lenient])
async def test_each_model_runs_by_name_to_its_end(replicate_client: Client, model: Any) -> None:
    pictures = {"image": f"data:image/png;base64,{b64encode(picture()).decode()}"} if model.takes_pictures else {}
    prediction = await replicate_client.predictions.async_create(
        version=model.full_name, input={"prompt": "a boat", **pictures}
    )
    created = prediction.dict()

    await prediction.async_wait()

    assert (created["status"], created["output"]) == ("starting", None)
    assert prediction.status == "succeeded"
    assert prediction.output
    assert prediction.model == model.full_name
    assert prediction.version == ("hidden" if model.is_official else model.version)


async def test_the_run_helper_of_the_client_works(replicate_client: Client) -> None:
    images: Any = await replicate_client.async_run(
        "black-forest-labs/flux-schnell", input={"prompt": "a boat", "num_outputs": 2}, use_file_output=False
    )
    words: Any = await replicate_client.async_run(
        f"simulator/text:{version_of('simulator/text')}", input={"prompt": "a boat"}
    )

    assert [image.rpartition("/")[2] for image in images] == ["out-0.png", "out-1.png"]
    assert "".join([word async for word in words]).endswith("You wrote: a boat")


def version_of(name: str) -> str:
    return next(model.version for model in MODELS if model.full_name == name)


async def test_a_language_model_can_be_streamed(replicate_client: Client) -> None:
    prediction = await replicate_client.predictions.async_create(
        version="meta/meta-llama-3-8b-instruct", input={"prompt": "one two"}
    )

    events = [event async for event in prediction.async_stream()]

    assert "".join(str(event) for event in events).endswith("You wrote: one two")
    assert events[-1].event.value == "done"


def test_a_prediction_passes_through_its_states(simulator: RunningSimulator) -> None:
    created = simulator.create("simulator/image--start-slow-100--slow-100").json()
    starting = simulator.read(created["id"])
    simulator.skip(150)
    processing = simulator.read(created["id"])
    simulator.skip(100)
    succeeded = simulator.read(created["id"])

    assert [each["status"] for each in (starting, processing, succeeded)] == ["starting", "processing", "succeeded"]
    assert "metrics" not in processing
    assert processing["output"] is None
    assert "50%" in processing["logs"]
    assert starting["started_at"] is None
    assert succeeded["metrics"] == {"predict_time": 100.0, "total_time": 200.0, "output_count": 1}
    assert succeeded["error"] is None


def test_the_object_has_replicates_format(simulator: RunningSimulator) -> None:
    response = simulator.create("simulator/image")
    created = response.json()
    ended = simulator.run("simulator/image")

    assert response.status_code == 201
    assert response.headers["location"] == created["urls"]["get"]
    assert re.fullmatch(r"[a-z2-7]{26}", created["id"])
    assert created["urls"].keys() == {"get", "cancel", "web"}
    assert all(MOMENT.fullmatch(ended[name]) for name in ("created_at", "started_at", "completed_at"))
    assert ended["created_at"] < ended["started_at"] < ended["completed_at"]
    assert (ended["source"], ended["data_removed"]) == ("api", False)
    assert simulator.http.get(ended["urls"]["web"]).json()["id"] == ended["id"]


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("string", str),
        ("list", list),
        ("object", dict),
        ("null", type(None)),
    ],
)
def test_the_shape_of_the_output_can_be_chosen(simulator: RunningSimulator, shape: str, expected: type) -> None:
    by_input = simulator.run("simulator/image", output_shape=shape, num_outputs=3)
    by_name = simulator.run(f"simulator/image--output-{shape}", num_outputs=3)

    assert by_input["status"] == by_name["status"] == "succeeded"
    assert type(by_input["output"]) is type(by_name["output"]) is expected


def test_words_can_come_in_other_shapes(simulator: RunningSimulator) -> None:
    whole = simulator.run("simulator/text--output-string", prompt="one two")
    missing = simulator.run("simulator/text--output-null")

    assert whole["output"].endswith("You wrote: one two")
    assert (missing["status"], missing["output"]) == ("succeeded", None)


def test_urls_may_be_at_any_depth_of_an_object(simulator: RunningSimulator) -> None:
    output = simulator.run("simulator/image--output-object", num_outputs=2)["output"]

    urls = [output["main"], output["details"]["files"][0]["url"]]
    assert [simulator.http.get(url).status_code for url in urls] == [200, 200]


def test_files_can_be_part_of_the_output(simulator: RunningSimulator) -> None:
    [output] = simulator.run("simulator/image--output-data-url")["output"]

    assert output.startswith("data:image/png;base64,iVBORw0KGgo")


def test_the_json_model_returns_an_object_without_files(simulator: RunningSimulator) -> None:
    output = simulator.run("simulator/json")["output"]

    assert output["scores"] == {"first": 0.25, "others": [0.5, 0.75]}


@pytest.mark.parametrize("header", ["5", "5s", "0h0m5s"])
def test_a_deadline_ends_a_run(simulator: RunningSimulator, header: str) -> None:
    headers = {"Cancel-After": header}
    cold = simulator.create("simulator/image--start-slow-100", headers).json()
    running = simulator.create("simulator/image--slow-100", headers).json()
    quick = simulator.create("simulator/image", headers).json()
    simulator.skip(5)

    ended = [simulator.read(each["id"]) for each in (cold, running, quick)]

    assert [each["status"] for each in ended] == ["aborted", "canceled", "succeeded"]
    assert ended[0]["completed_at"] == ended[0]["deadline"]
    assert "predict_time" not in ended[0]["metrics"]
    assert 4 < ended[1]["metrics"]["predict_time"] < 5
    assert ended[1]["output"] is None


@pytest.mark.parametrize(("header", "seconds"), [("30", 30), ("30s", 30), ("5m", 300), ("1h30m45s", 5445)])
def test_deadlines_are_accepted_in_all_formats(simulator: RunningSimulator, header: str, seconds: int) -> None:
    prediction = simulator.create("simulator/image--never-ends", {"Cancel-After": header}).json()
    simulator.skip(seconds - 25)
    before = simulator.read(prediction["id"])["status"]
    simulator.skip(25)
    after = simulator.read(prediction["id"])["status"]

    # No prediction runs for longer than half an hour.
    assert (before, after) == (("processing", "canceled") if seconds < 1800 else ("failed", "failed"))


@pytest.mark.parametrize("header", ["4s", "soon", "", "1x"])
def test_invalid_deadlines_are_refused(simulator: RunningSimulator, header: str) -> None:
    assert simulator.create("simulator/image", {"Cancel-After": header}).status_code == 422


async def test_a_create_that_waits_returns_when_the_prediction_ends(replicate_client: Client) -> None:
    prediction = await replicate_client.predictions.async_create(
        version="simulator/image", input={"prompt": "a boat"}, wait=60
    )

    assert prediction.status == "succeeded"


def test_a_create_that_waits_returns_when_its_time_is_over(simulator: RunningSimulator) -> None:
    with ThreadPoolExecutor(1) as caller:
        waiting = caller.submit(simulator.create, "simulator/image--never-ends", {"Prefer": "wait=60"})
        wait_until(lambda: simulator.log("prediction"))
        simulator.skip(61)
        response = waiting.result()

    assert response.status_code == 202
    assert response.json()["status"] == "processing"


async def test_a_running_prediction_can_be_canceled(replicate_client: Client) -> None:
    prediction = await replicate_client.predictions.async_create(
        version="simulator/image--never-ends", input={"prompt": "a boat"}
    )

    await prediction.async_cancel()

    assert prediction.status == "canceled"
    assert prediction.metrics is not None


async def test_an_ended_prediction_stays_as_it_is(replicate_client: Client, simulator: RunningSimulator) -> None:
    ended = simulator.run("simulator/image")

    canceled = await replicate_client.predictions.async_cancel(ended["id"])

    assert canceled.status == "succeeded"
    assert [entry["status"] for entry in simulator.log("cancel")] == ["succeeded"]


async def test_predictions_are_listed_newest_first(replicate_client: Client, simulator: RunningSimulator) -> None:
    ids = [simulator.create("simulator/json").json()["id"] for _ in range(101)]

    first = await replicate_client.predictions.async_list()
    assert first.next is not None
    second = await replicate_client.predictions.async_list(first.next)

    assert [each.id for each in [*first, *second]] == ids[::-1]
    assert (len(first), second.next) == (100, None)


def test_lists_can_be_limited_to_a_time(simulator: RunningSimulator) -> None:
    old, middle, new = (created_ten_seconds_apart(simulator) for _ in range(3))
    query = {"created_after": old["created_at"], "created_before": new["created_at"]}

    found = simulator.http.get("/replicate/v1/predictions", params=query).json()["results"]
    refused = simulator.http.get("/replicate/v1/predictions", params={"created_after": "yesterday"})

    assert [each["id"] for each in found] == [middle["id"]]
    assert refused.status_code == 400


def created_ten_seconds_apart(simulator: RunningSimulator) -> dict[str, Any]:
    simulator.skip(10)
    document: dict[str, Any] = simulator.create("simulator/json", webhook="http://127.0.0.1:9/?content=1").json()
    return document


def test_data_is_removed_an_hour_after_the_end(simulator: RunningSimulator) -> None:
    ended = simulator.run("simulator/image")
    [url] = ended["output"]
    before = simulator.http.get(url)
    simulator.skip(3600)
    removed = simulator.read(ended["id"])

    assert before.status_code == 200
    assert (removed["status"], removed["data_removed"]) == ("succeeded", True)
    assert (removed["output"], removed["input"], removed["logs"]) == (None, {}, "")
    assert simulator.http.get(url).status_code == 404


def test_the_oldest_predictions_are_forgotten() -> None:
    with running_simulator(SimulatorConfig(max_predictions=2)) as small:
        ids = [small.create("simulator/image").json()["id"] for _ in range(3)]
        statuses = [small.http.get(f"/replicate/v1/predictions/{each}").status_code for each in ids]

    assert statuses == [404, 200, 200]


async def test_models_publish_their_schema(replicate_client: Client) -> None:
    model = await replicate_client.models.async_get("simulator/text")
    image = await replicate_client.models.async_get("simulator/image")
    assert model.latest_version is not None
    assert image.latest_version is not None
    version = await model.versions.async_get(model.latest_version.id)

    schemas = image.latest_version.openapi_schema["components"]["schemas"]
    assert schemas["Output"] == {"title": "Output", "type": "array", "items": {"type": "string", "format": "uri"}}
    assert schemas["output_format"]["enum"][0] == "png"
    assert [field["x-order"] for field in schemas["Input"]["properties"].values()] == list(range(6))
    assert version.openapi_schema["components"]["schemas"]["Output"]["x-cog-array-type"] == "iterator"
    with pytest.raises(ReplicateError):
        await replicate_client.models.async_get("nobody/nothing")
    with pytest.raises(ReplicateError):
        await model.versions.async_get("0" * 64)


async def test_account_and_hardware_can_be_read(replicate_client: Client) -> None:
    account = await replicate_client.accounts.async_current()
    hardware = await replicate_client.hardware.async_list()

    assert account.username == "simulator"
    assert "gpu-t4" in [each.sku for each in hardware]


async def test_unknown_paths_and_predictions_are_not_found(
    replicate_client: Client, simulator: RunningSimulator
) -> None:
    with pytest.raises(ReplicateError) as refusal:
        await replicate_client.predictions.async_get("nothing")
    image = simulator.create("simulator/image").json()
    no_stream = simulator.http.get(f"/replicate/v1/predictions/{image['id']}/stream")

    assert refusal.value.status == no_stream.status_code == 404
    assert simulator.http.get("/replicate/v1/nowhere").json() == {"detail": "Not Found", "status": 404}
    assert simulator.http.delete("/replicate/v1/predictions").status_code == 405
    assert simulator.http.get("/_sim/predictions/nothing").status_code == 404
