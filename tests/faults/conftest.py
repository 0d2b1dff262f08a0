import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from devstack.valkey import Valkey
from tests.conftest import Stack
from tests.programs import Api, api_process, running_apis
from tests.rate_limits.proxy import Proxy, proxy_to


@dataclass(frozen=True)
class Replicas:
    """Three API processes of one installation, with their own Redis, which may be flushed and killed.

    They share the database with the run's stack, whose worker does their work. `chat_models` is the proxy to
    their vendor.
    """

    apis: Sequence[Api]
    chat_models: Proxy
    valkey: Valkey
    settings: dict[str, str]
    logs: list[Path]

    def base_url(self, number: int) -> str:
        """The address of one of the APIs; the number may be larger than theirs."""
        return self.apis[number % len(self.apis)].base_url


@pytest.fixture(scope="session")
async def replicas(stack: Stack, run_folder: Path) -> AsyncIterator[Replicas]:
    valkey = Valkey(run_folder / "replicas-valkey", log=run_folder / "replicas-valkey.log", durable=False)
    valkey.start()
    secrets = {
        "LLM_API_KEY": "a-secret-of-the-chat-model",
        "REPLICATE_API_TOKEN": "a-secret-of-the-generator",
        "SECRET_KEY": "a-secret-of-the-server",
    }
    logs = [run_folder / f"replica-{number}.log" for number in range(3)]
    async with proxy_to(stack.environment["LLM_BASE_URL"]) as (chat_models, url):
        settings = {**stack.environment, **secrets, "REDIS_URL": valkey.url, "LLM_BASE_URL": url}
        async with running_apis(*(api_process(settings, log) for log in logs)) as apis:
            yield Replicas(apis, chat_models, valkey, settings, logs)
    await asyncio.to_thread(valkey.stop)
