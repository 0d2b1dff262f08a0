from collections.abc import AsyncIterator, Iterator

import openai
import pytest
from replicate.client import Client

from simulator.config import SimulatorConfig
from tests.simulator.server import RunningSimulator, WebhookReceiver, running_simulator, webhook_receiver
from tests.waiting import PATIENCE

WEBHOOK_SECRET = "whsec_c2ltdWxhdG9yIHRlc3RzIHNpZ24gdGhpcw=="


@pytest.fixture(scope="session")
def shared_simulator() -> Iterator[RunningSimulator]:
    with running_simulator(SimulatorConfig(seed=1, webhook_secret=WEBHOOK_SECRET, speed=10)) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: RunningSimulator) -> RunningSimulator:
    shared_simulator.http.post("/_sim/reset").raise_for_status()
    return shared_simulator


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    with webhook_receiver() as running:
        yield running


@pytest.fixture(scope="session")
async def shared_replicate_client(shared_simulator: RunningSimulator) -> AsyncIterator[Client]:
    client = Client(api_token="r8_test", base_url=f"{shared_simulator.url}/replicate")
    client.poll_interval = 0.01
    yield client
    await client._async_client.aclose()


@pytest.fixture
def replicate_client(simulator: RunningSimulator, shared_replicate_client: Client) -> Client:
    return shared_replicate_client


@pytest.fixture(scope="session")
async def shared_openai_client(shared_simulator: RunningSimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    url = f"{shared_simulator.url}/openai/v1"
    async with openai.AsyncOpenAI(api_key="sk-test", base_url=url, max_retries=0, timeout=PATIENCE) as client:
        yield client


@pytest.fixture
def openai_client(simulator: RunningSimulator, shared_openai_client: openai.AsyncOpenAI) -> openai.AsyncOpenAI:
    return shared_openai_client
