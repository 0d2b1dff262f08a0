from collections.abc import AsyncIterator, Iterator

import pytest

from app.predictions.replicate import ReplicateClient
from tests.vendors_simulator import VendorsSimulator, vendors_simulator

TOKEN = "r8_the_token_of_the_tests"
WEBHOOK_SECRET = "whsec_c2VjcmV0IG9mIHRoZSB0ZXN0cw=="


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[VendorsSimulator]:
    with vendors_simulator("--webhook-secret", WEBHOOK_SECRET) as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: VendorsSimulator) -> VendorsSimulator:
    running_simulator.reset()
    return running_simulator


@pytest.fixture
async def client(simulator: VendorsSimulator) -> AsyncIterator[ReplicateClient]:
    client = ReplicateClient(simulator.replicate_url, TOKEN)
    yield client
    await client.close()
