import json
from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from app.predictions.protocol import PredictionRejectedError
from app.predictions.replicate import VERSION_SECONDS, ReplicateClient
from tests.chat_models.raw_server import Connection, Responder, raw_server, response
from tests.vendors_simulator import VendorsSimulator, vendors_simulator


@pytest.fixture(scope="module")
def strict_vendor() -> Iterator[VendorsSimulator]:
    """A simulator that, like Replicate, runs community models only by their version."""
    with vendors_simulator("--no-lenient") as simulator:
        yield simulator


@pytest.fixture
async def client(strict_vendor: VendorsSimulator) -> AsyncIterator[ReplicateClient]:
    client = ReplicateClient(strict_vendor.replicate_url, "simulated")
    yield client
    await client.close()


async def test_a_community_model_is_run_with_its_newest_version(
    strict_vendor: VendorsSimulator, client: ReplicateClient
) -> None:
    version = strict_vendor.version("meta/musicgen")

    for _ in range(2):
        started = await client.create(model="meta/musicgen", input={"prompt": "a"}, webhook=None, cancel_after=60)
        assert started.version == version

    accepted = [entry for entry in strict_vendor.log("prediction") if entry["status"] == 201]
    assert len(accepted) == 2


async def test_an_official_model_is_run_by_its_name(strict_vendor: VendorsSimulator, client: ReplicateClient) -> None:
    started = await client.create(
        model="black-forest-labs/flux-schnell", input={"prompt": "a"}, webhook=None, cancel_after=60
    )

    assert started.version == "hidden"


async def test_a_model_that_does_not_exist_is_rejected_with_the_vendors_words(client: ReplicateClient) -> None:
    with pytest.raises(PredictionRejectedError, match="The specified version does not exist"):
        await client.create(model="nobody/knows", input={}, webhook=None, cancel_after=60)


@pytest.mark.parametrize(
    ("version_seconds", "versions"),
    [
        pytest.param(VERSION_SECONDS, ["v0", "v0"], id="used again while it is remembered"),
        pytest.param(0, ["v0", "v1"], id="looked up again afterwards"),
    ],
)
async def test_a_found_version_is_remembered_for_a_while(version_seconds: float, versions: list[str]) -> None:
    async with raw_server(vendor_with_a_new_version_at_every_request()) as server:
        client = ReplicateClient(server.url, "simulated", version_seconds=version_seconds)
        started = [await client.create(model="owner/name", input={}, webhook=None, cancel_after=60) for _ in versions]
        await client.close()

    assert [prediction.version for prediction in started] == versions


def vendor_with_a_new_version_at_every_request() -> Responder:
    """Runs a community model only by version, and has a newer version each time it is asked for the newest."""
    numbers = count()

    async def respond(connection: Connection, request: bytes) -> None:
        head, _, body = request.partition(b"\r\n\r\n")
        if head.startswith(b"GET /v1/models/owner/name "):
            await connection.send(response(json.dumps({"latest_version": {"id": f"v{next(numbers)}"}}).encode()))
            return
        _, _, version = json.loads(body)["version"].partition(":")
        if not version:
            await connection.send(response(b'{"title": "Invalid version"}', status="422 Unprocessable Entity"))
            return
        created = {"id": "x", "status": "starting", "created_at": "2026-03-01T12:00:00Z", "version": version}
        await connection.send(response(json.dumps(created).encode(), status="201 Created"))

    return respond
