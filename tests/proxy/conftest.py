from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import httpx
import pytest

from app.core.database import Database
from devstack import product
from devstack.ports import free_port
from devstack.programs import Program
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.proxy.caddy import Proxy, running_proxy
from tests.warm_start.program import WarmProgram

ADDRESSES = ("127.0.0.2", "127.0.0.3")


@dataclass(frozen=True)
class Fleet:
    """API processes on one port of several addresses, and the proxy in front of them."""

    apis: Sequence[Program]
    port: int
    proxy: Proxy


def fleet_settings(stack: Stack) -> dict[str, str]:
    return {
        **stack.environment,
        "TRUSTED_PROXIES": "127.0.0.0/8",
        "SHUTDOWN_DELAY_SECONDS": "0.5",
        "FAILED_ATTEMPTS_PER_MINUTE": "5",
    }


@pytest.fixture(scope="module")
def fleet(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    port = free_port()
    env = product.isolated({**fleet_settings(stack), "PUBLIC_URL": f"http://127.0.0.1:{port}"})
    apis = [
        WarmProgram.of(
            product.api(env, folder / f"api-{address}.log", origin=f"http://{address}:{port}", folder=folder)
        )
        for address in ADDRESSES
    ]
    with running_proxy(folder / "proxy", port, *ADDRESSES) as proxy, apis[0].serving(), apis[1].serving():
        yield Fleet(apis, port, proxy)


@pytest.fixture
async def http(fleet: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a key, at the base of the API behind the proxy."""
    async with httpx.AsyncClient(base_url=f"{fleet.proxy.url}/api/external", timeout=60) as opened:
        yield opened


@pytest.fixture
async def customer(database: Database) -> Organization:
    return await factories.make_organization(database)


@pytest.fixture
async def customers(database: Database) -> list[Organization]:
    """Several, because each has only its share of an API's connections to Postgres."""
    return [await factories.make_organization(database) for _ in range(4)]
