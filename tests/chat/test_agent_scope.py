"""A key for the orchestrator only, in a request that names an agent: refused like any other missing scope."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from devstack.ports import free_port
from tests.agents.definitions import make_host
from tests.chat.asking import ask, open_http
from tests.conftest import Stack
from tests.factories import Organization
from tests.programs import api_process, running_apis
from tests.rate_limits.responses import window

PER_MINUTE, PER_HOUR = 2, 3
WINDOWS = ("", "-Minute", "-Hour")


@pytest.fixture(scope="module")
async def lonely(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    """An API that cannot reach Redis."""
    settings = {**stack.environment, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    async with (
        running_apis(api_process(settings, stack.folder / "lonely.log")) as (api,),
        open_http(f"http://127.0.0.1:{api.port}") as http,
    ):
        yield http


@pytest.fixture(params=["with Redis", "without Redis"])
def api(request: pytest.FixtureRequest, http: httpx.AsyncClient, lonely: httpx.AsyncClient) -> httpx.AsyncClient:
    return http if request.param == "with Redis" else lonely


@pytest.fixture
async def narrow(database: Database) -> Organization:
    """An organization whose key has limits of its own and only the scope for the orchestrator."""
    host = await make_host(database)
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(
                name="narrow",
                scopes=["orchestrator:invoke"],
                requests_per_minute=PER_MINUTE,
                requests_per_hour=PER_HOUR,
            ),
            organization_id=host.id,
            user_id=host.user_id,
            actor=COMMAND_LINE,
        )
        secret = new.secret
    return Organization(host.id, host.name, host.user_id, secret)


def used(response: httpx.Response) -> list[int]:
    """How many requests of each window have been used up."""
    return [limit - remaining for limit, remaining in (window(response, suffix) for suffix in WINDOWS)]


async def test_a_request_refused_for_the_agent_scope_uses_up_no_limit(
    api: httpx.AsyncClient, narrow: Organization
) -> None:
    allowed = await ask(api, narrow, "count to 2")
    refused = [await ask(api, narrow, "count to 2", model="agent/host") for _ in range(PER_HOUR)]
    allowed_again = await ask(api, narrow, "count to 2")
    one_too_many = await ask(api, narrow, "count to 2", model="agent/host")

    assert {response.status_code for response in refused} == {403}
    assert {response.json()["error"]["code"] for response in refused} == {"scope_not_allowed"}
    assert (allowed.status_code, used(allowed)) == (200, [1, 1, 1])
    assert [used(response) for response in refused] == [[1, 1, 1]] * PER_HOUR
    assert (allowed_again.status_code, used(allowed_again)) == (200, [2, 2, 2])
    # The body is only read if there is a slot for the request.
    assert one_too_many.status_code == 429
