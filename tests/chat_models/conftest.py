from collections.abc import AsyncIterator, Iterator

import pytest

from app.chat_models.client import open_chat_model_client
from app.chat_models.protocol import ChatModelClient
from tests.vendors_simulator import VendorsSimulator, vendors_simulator


@pytest.fixture
async def client() -> AsyncIterator[ChatModelClient]:
    client = open_chat_model_client()
    yield client
    await client.close()


@pytest.fixture(scope="session")
def running_simulator() -> Iterator[VendorsSimulator]:
    with vendors_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(running_simulator: VendorsSimulator) -> VendorsSimulator:
    running_simulator.reset()
    return running_simulator
