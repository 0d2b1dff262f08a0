import json
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from simulator.config import SimulatorConfig
from tests import programs
from tests.chat.asking import open_http
from tests.chat.odd_model import OddModel, running_odd_model
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.simulator.server import RunningSimulator, running_simulator


@pytest.fixture(scope="session")
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened


@pytest.fixture
def upstream(stack: Stack) -> UpstreamLog:
    return UpstreamLog(stack.simulator.log)


@pytest.fixture(scope="session")
def second_simulator() -> Iterator[RunningSimulator]:
    """Another provider of chat models."""
    with running_simulator(SimulatorConfig(seed=2)) as simulator:
        yield simulator


@pytest.fixture(scope="session")
async def odd_model() -> AsyncIterator[OddModel]:
    """A chat model that says what a test tells it to."""
    async with running_odd_model() as running:
        yield running


@pytest.fixture(scope="session")
def tuned_url(stack: Stack, second_simulator: RunningSimulator, odd_model: OddModel) -> Iterator[str]:
    """An API whose turns end after a second, its streams after two, and which knows further upstreams."""
    base_url = f"{second_simulator.url}/openai/v1"
    upstreams = {
        "second": {"base_url": base_url, "api_key": "of-the-second"},
        "denied": {"base_url": base_url, "api_key": "revoked"},
        "odd": {"base_url": odd_model.url},
    }
    settings = {
        "CHAT_TURN_TIMEOUT_SECONDS": "1",
        "CHAT_STREAM_TIMEOUT_SECONDS": "2",
        "LLM_UPSTREAMS": json.dumps(upstreams),
    }
    with programs.running_api({**stack.environment, **settings}, stack.folder / "tuned.log") as url:
        yield url


@pytest.fixture(scope="session")
async def tuned(tuned_url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(tuned_url) as opened:
        yield opened
