"""Background responses whose API is killed: each ends once, is charged once, and no more than its request allows.

`FULL=1` kills it at each statement of such a response in turn. Otherwise it does so at some of them, which `SEED`
chooses.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import open_http
from tests.chat.responses.background import events_of, let_leases_run_out, resumed, shown
from tests.chat.responses.grammar import read_stream
from tests.factories import Organization
from tests.faults.books import charges, faults_of, until_ended
from tests.faults.crash import Installation, installation
from tests.faults.postgres_proxy import PostgresProxy, postgres_proxy
from tests.programs import api_process, running_apis
from tests.waiting import until

_IS_FULL = os.environ.get("FULL") == "1"
_SAMPLE = 3
# About half of them are before it is accepted. What the process does besides is counted, too, so that the numbers are
# not exact.
_STATEMENTS = 32
_FIRST_SAMPLED = 14
_MODEL = "junis-orchestrator"
# Enough for a few hundred tokens beside the prompt, which are too few to count so far.
_MOST = "0.003"
_BODY = {
    "model": _MODEL,
    "input": "count to 900",
    "background": True,
    "stream": True,
    "max_credits": _MOST,
}
_ENDS = {"completed", "incomplete", "failed"}
_HOLDS = "SELECT most, charged FROM credit_holds WHERE organization_id = $1"
_FIND = "SELECT id, status, lease_until FROM response_runs WHERE organization_id = $1"


@dataclass(frozen=True)
class Place:
    """An installation whose APIs may reach Postgres through a proxy, and an API that lives."""

    there: Installation
    proxy: PostgresProxy
    proxied: dict[str, str]
    living: httpx.AsyncClient
    before: Organization

    @property
    def database(self) -> Database:
        return self.there.database


@pytest.fixture(scope="module")
async def place(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("killed")
    async with (
        installation(environment, folder) as there,
        postgres_proxy(there.settings["DATABASE_URL"]) as (proxy, url),
        running_apis(api_process(there.settings, folder / "living.log")) as (api,),
        open_http(api.url) as living,
    ):
        before = await factories.make_organization(there.database)
        yield Place(there, proxy, there.settings | {"DATABASE_URL": url}, living, before)


async def kill_at(place: Place, organization: Organization, number: int) -> bytes:
    """Kill an API at one of its statements, while it runs a response. Returns what the client has seen by then."""
    seen = b""

    async def read(http: httpx.AsyncClient) -> None:
        nonlocal seen
        async with http.stream("POST", "/v1/responses", json=_BODY, headers=organization.headers) as response:
            async for piece in response.aiter_raw():
                seen += piece

    log = place.there.folder / f"killed-{number}.log"
    async with running_apis(api_process(place.proxied, log)) as (api,), open_http(api.url) as http:
        # What the process reads once, such as prices, it has read when the statements are counted.
        hello = {"model": _MODEL, "input": "Hello"}
        (await http.post("/v1/responses", json=hello, headers=place.before.headers)).raise_for_status()
        place.proxy.hold(number)
        reading = asyncio.create_task(read(http))
        await place.proxy.wait_until_held()
        api.kill()
        # The statement arrives, although nobody is there any more to read what comes of it.
        place.proxy.let_pass()
        with suppress(httpx.TransportError):
            await reading
    return seen


async def mosts_of(place: Place, organization: Organization) -> list[Any]:
    """What each of the organization's holds may be charged at most, and what it has been."""
    async with place.database.transaction() as tx:
        return list(await tx.fetch(_HOLDS, organization.id))


async def run_of(place: Place, organization: Organization) -> Any:
    async with place.database.transaction() as tx:
        return await tx.fetchrow(_FIND, organization.id)


@pytest.mark.timeout(3600 if _IS_FULL else 300)
async def test_a_response_whose_process_is_killed_at_any_statement_ends_once(place: Place) -> None:
    numbers = range(1 if _IS_FULL else _FIRST_SAMPLED, _STATEMENTS + 1)
    for number in numbers if _IS_FULL else random.Random(os.environ.get("SEED", "1")).sample(numbers, _SAMPLE):
        organization = await factories.make_organization(place.database)
        seen = await kill_at(place, organization, number)
        found = await run_of(place, organization)
        if found is None:
            # It was not accepted, and its client has been told nothing.
            assert seen == b"", number
            assert await charges(place.database, organization) == {}, number
            continue
        await let_leases_run_out(place.database, organization)

        async def has_ended(organization: Organization = organization) -> bool:
            return (await run_of(place, organization))["lease_until"] is None

        await until(has_ended)
        await until_ended(place.database, organization)
        stream = await resumed(place.living, organization, found["id"])
        streamed = read_stream(stream, stream.content)
        assert streamed.response == await shown(place.living, organization, found["id"]), number
        assert streamed.response["status"] in _ENDS, number
        whole = events_of(seen[: seen.rfind(b"\n\n") + 2]) if b"\n\n" in seen else []
        assert events_of(stream.content)[: len(whole)] == whole, number
        (charge,) = (await charges(place.database, organization)).values()
        holds = await mosts_of(place, organization)
        assert {str(hold["most"]) for hold in holds} == {f"{_MOST}000"}, number
        assert all((hold["charged"] or 0) <= Decimal(_MOST) for hold in holds), number
        assert charge <= Decimal(_MOST), number
        assert await faults_of(place.database, organization) == [], number
