"""Which predictions can be created, under which names, and how all others are refused."""

import httpx
import pytest
from replicate.client import Client
from replicate.exceptions import ReplicateError

from simulator.config import SimulatorConfig
from tests.simulator.server import RunningSimulator, running_simulator
from tests.waiting import PATIENCE


@pytest.mark.parametrize("form", ["{name}:{version}", "{version}"])
async def test_a_community_model_runs_by_its_version(replicate_client: Client, form: str) -> None:
    model = await replicate_client.models.async_get("stability-ai/sdxl")
    assert model.latest_version is not None
    version = form.format(name="stability-ai/sdxl", version=model.latest_version.id)

    prediction = await replicate_client.predictions.async_create(version=version, input={"prompt": "a boat"})

    assert prediction.model == "stability-ai/sdxl"
    assert prediction.version == model.latest_version.id


async def test_a_version_of_another_model_runs_that_model(replicate_client: Client) -> None:
    other = await replicate_client.models.async_get("simulator/video")
    assert other.latest_version is not None

    prediction = await replicate_client.predictions.async_create(
        version=f"simulator/image:{other.latest_version.id}", input={"prompt": "a boat"}
    )

    assert (prediction.model, prediction.version) == ("simulator/video", other.latest_version.id)


async def test_a_fault_makes_a_prediction_of_another_model(replicate_client: Client) -> None:
    prediction = await replicate_client.predictions.async_create(
        version="simulator/image--other-model", input={"prompt": "a boat"}
    )

    assert prediction.model == "simulator/another"


async def test_an_unknown_version_is_an_image_model(replicate_client: Client) -> None:
    prediction = await replicate_client.predictions.async_create(version="0" * 64, input={"prompt": "a boat"})

    assert prediction.model == "simulator/image"


@pytest.mark.parametrize("version", ["stability-ai/sdxl", "nobody/nothing", f"nobody/nothing:{'0' * 64}", "nonsense"])
async def test_a_model_that_may_not_run_is_refused_as_an_invalid_version(
    replicate_client: Client, version: str
) -> None:
    with pytest.raises(ReplicateError) as refusal:
        await replicate_client.predictions.async_create(version=version, input={"prompt": "a boat"})

    assert (refusal.value.status, refusal.value.title) == (422, "Invalid version or not permitted")


@pytest.mark.parametrize("name", ["stability-ai/sdxl", "nobody/nothing"])
async def test_only_official_models_run_under_their_path(replicate_client: Client, name: str) -> None:
    official = await replicate_client.models.predictions.async_create("simulator/image", {"prompt": "a boat"})
    with pytest.raises(ReplicateError) as refusal:
        await replicate_client.models.predictions.async_create(name, {"prompt": "a boat"})

    assert official.version == "hidden"
    assert refusal.value.status == 404


def test_a_strict_simulator_requires_a_version_for_community_models() -> None:
    with running_simulator(SimulatorConfig(is_lenient=False)) as strict:
        response = strict.create("meta/musicgen")

    assert response.status_code == 422


@pytest.mark.parametrize(
    ("token", "status"),
    [("", 401), ("Bearer", 401), ("Bearer revoked", 401), ("Token unpaid", 402), ("Bearer forbidden", 403)],
)
def test_tokens_are_checked(simulator: RunningSimulator, token: str, status: int) -> None:
    with httpx.Client(
        base_url=simulator.url, headers={"Authorization": token} if token else {}, timeout=PATIENCE
    ) as http:
        refused = http.post("/replicate/v1/predictions", json={})
    accepted = simulator.http.get("/replicate/v1/account", headers={"Authorization": "Token r8_old"})

    assert refused.status_code == status
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["status"] == status
    assert accepted.status_code == 200


def test_misspelled_members_are_named(simulator: RunningSimulator) -> None:
    body = {"version": "simulator/image", "inptu": {"prompt": "a boat"}}

    response = simulator.http.post("/replicate/v1/predictions", json=body)

    assert response.status_code == 422
    assert response.json()["invalid_fields"] == [
        {"type": "required", "field": "", "description": "input is required"},
        {
            "type": "additional_property_not_allowed",
            "field": "",
            "description": "Additional property inptu is not allowed",
        },
    ]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"version": 1, "input": {}}', 422),
        (b'{"version": "simulator/image", "input": "boat"}', 422),
        (b'{"version": "simulator/image", "input": {}, "webhook": "boat"}', 422),
        (b'{"version": "simulator/image", "input": {}, "webhook_events_filter": ["birth"]}', 422),
        (b'{"version": "simulator/image", "input": {"num_outputs": 5}}', 422),
        (b'{"version": "simulator/image", "input": {"num_outputs": "two"}}', 422),
        (b'{"version": "simulator/image", "input": {"output_format": "mp4"}}', 422),
        (b'{"version": "simulator/image", "input": {"output_shape": "round"}}', 422),
        (b'{"version": "simulator/image--unheard-of", "input": {}}', 422),
    ],
)
def test_bad_bodies_are_refused(simulator: RunningSimulator, content: bytes, status: int) -> None:
    response = simulator.http.post("/replicate/v1/predictions", content=content)

    assert response.status_code == status
    assert response.json()["detail"]
    assert simulator.http.get("/_sim/predictions").json()["predictions"] == []
