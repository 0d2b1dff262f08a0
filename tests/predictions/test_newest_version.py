from collections.abc import AsyncIterator, Iterator

import pytest

from app.predictions.protocol import PredictionMissingError, PredictionRejectedError
from app.predictions.replicate import ReplicateClient
from tests.vendors_simulator import VendorsSimulator, vendors_simulator


@pytest.fixture(scope="module")
def strict_vendor() -> Iterator[VendorsSimulator]:
    """Replicate as it is: community models run by their version only."""
    with vendors_simulator("--no-lenient") as simulator:
        yield simulator


@pytest.fixture
async def client(strict_vendor: VendorsSimulator) -> AsyncIterator[ReplicateClient]:
    client = ReplicateClient(strict_vendor.replicate_url, "simulated")
    yield client
    await client.close()


async def test_a_community_model_is_run_by_its_newest_version(
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


async def test_a_model_that_does_not_exist_stays_refused(client: ReplicateClient) -> None:
    with pytest.raises((PredictionRejectedError, PredictionMissingError)):
        await client.create(model="nobody/knows", input={}, webhook=None, cancel_after=60)
