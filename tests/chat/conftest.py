import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from simulator.config import SimulatorConfig
from tests import programs
from tests.chat.asking import open_http
from tests.chat.flood import SMALL_BUFFER, Flood, running_flood
from tests.chat.odd_model import OddModel, running_odd_model
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.programs import api_process, running_apis
from tests.rate_limits.proxy import Proxy, proxy_to
from tests.simulator.server import RunningSimulator, running_simulator


@pytest.fixture(scope="session")
async def http(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    async with open_http(stack.url) as opened:
        yield opened


@pytest.fixture(scope="session")
async def redis(stack: Stack) -> AsyncIterator[Redis]:
    async with Redis.from_url(stack.environment["REDIS_URL"]) as opened:
        yield opened


@pytest.fixture
def upstream(stack: Stack) -> UpstreamLog:
    return UpstreamLog(stack.simulator.log)


@pytest.fixture(scope="session")
def second_simulator() -> Iterator[RunningSimulator]:
    """Another provider of chat models."""
    with running_simulator(SimulatorConfig(seed=2)) as simulator:
        yield simulator


@dataclass(frozen=True)
class HeldApi:
    """An API process behind a proxy that can hold its model calls. The system reads little ahead of its streams."""

    http: httpx.AsyncClient
    chat_models: Proxy
    log: Path


@pytest.fixture(scope="session")
async def flood() -> AsyncIterator[Flood]:
    """A chat model with a very long answer."""
    async with running_flood() as running:
        yield running


@pytest.fixture(scope="session")
async def held(stack: Stack, flood: Flood) -> AsyncIterator[HeldApi]:
    async with proxy_to(stack.environment["LLM_BASE_URL"]) as (chat_models, url):
        upstreams = json.dumps({"flood": {"base_url": flood.url}})
        settings = {**stack.environment, "LLM_BASE_URL": url, "LLM_UPSTREAMS": upstreams}
        log = stack.folder / "held.log"
        async with (
            running_apis(api_process(settings, log)) as (api,),
            open_http(api.base_url.removesuffix("/api/external"), buffer_bytes=SMALL_BUFFER) as http,
        ):
            yield HeldApi(http, chat_models, log)


@pytest.fixture(scope="session")
async def odd_model() -> AsyncIterator[OddModel]:
    """A chat model that gives the answers that a test sets."""
    async with running_odd_model() as running:
        yield running


@pytest.fixture(scope="session")
def tuned_url(stack: Stack, second_simulator: RunningSimulator, odd_model: OddModel, flood: Flood) -> Iterator[str]:
    """An API with more upstreams, and with timeouts of one second for turns and two for streams."""
    base_url = f"{second_simulator.url}/openai/v1"
    upstreams = {
        "second": {"base_url": base_url, "api_key": "of-the-second"},
        "modern": {"base_url": base_url, "api_key": "k", "output_limit_name": "max_completion_tokens"},
        "denied": {"base_url": base_url, "api_key": "revoked"},
        "odd": {"base_url": odd_model.url},
        "flood": {"base_url": flood.url},
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
