"""What clients of a running API see while Postgres makes some of them wait, or while its schema changes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.chat.asking import ask, open_http
from tests.chat.locks import locked_account
from tests.core.sites import new_site, settings_of
from tests.factories import Organization
from tests.programs import api_process, running_apis
from tests.waiting import until

_POOL_SIZE = 4
_WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE wait_event_type = 'Lock' AND datname = current_database() AND application_name = 'junis'
"""
_CHANGES = (
    "ALTER TABLE credit_accounts ALTER COLUMN balance TYPE numeric({digits}, 6)",
    "ALTER TABLE agents ALTER COLUMN description TYPE {text}",
    "ALTER TABLE sessions ALTER COLUMN public_id TYPE {text}",
    "ALTER TABLE models ALTER COLUMN description TYPE {text}",
)


@dataclass(frozen=True)
class Busy:
    """An API with a small pool and a database of its own."""

    http: httpx.AsyncClient
    database: Database
    log: Path

    async def ready(self) -> int:
        """The status of `/readyz`."""
        return (await self.http.get(self.http.base_url.join("/readyz"))).status_code

    async def are_waiting(self, count: int) -> bool:
        """Whether so many transactions wait for a lock."""
        async with self.database.transaction() as tx:
            return bool(await tx.fetchval(_WAITING) == count)


@pytest.fixture(scope="module")
async def busy(environment: dict[str, str], run_folder: Path) -> AsyncIterator[Busy]:
    site = await new_site(environment, run_folder, redis_number=9) | {"DATABASE_POOL_SIZE": str(_POOL_SIZE)}
    log = run_folder / "busy-api.log"
    database = Database.open(settings_of(site))
    async with running_apis(api_process(site, log)) as (api,), open_http(api.url) as http:
        yield Busy(http, database, log)
    await database.close()


@pytest.fixture
async def locked(busy: Busy) -> Organization:
    return await factories.make_organization(busy.database)


async def test_an_organization_that_waits_for_a_lock_does_not_delay_another(busy: Busy, locked: Organization) -> None:
    other = await factories.make_organization(busy.database)
    async with locked_account(busy.database, locked):
        waiting = [asyncio.create_task(ask(busy.http, locked, "Hello")) for _ in range(20)]
        # More of them would take connections that others need.
        await until(lambda: busy.are_waiting(_POOL_SIZE // 2))
        answered = await ask(busy.http, other, "Hello")
        refused = [await response for response in waiting]

    assert answered.status_code == 200
    assert {(response.status_code, response.headers["retry-after"]) for response in refused} == {(503, "1")}
    assert {response.json()["error"]["code"] for response in refused} == {"service_unavailable"}
    assert (await ask(busy.http, locked, "Hello")).status_code == 200


async def test_health_checks_do_not_wait_behind_requests(busy: Busy, locked: Organization) -> None:
    second = await factories.make_organization(busy.database)
    async with locked_account(busy.database, locked), locked_account(busy.database, second):
        waiting = [asyncio.create_task(ask(busy.http, one, "Hello")) for one in (locked, second) for _ in range(10)]
        await until(lambda: busy.are_waiting(_POOL_SIZE))
        statuses = [await busy.ready() for _ in range(3)]
        are_all_waiting = not any(response.done() for response in waiting)
        await asyncio.gather(*waiting)

    assert statuses == [200] * 3
    assert are_all_waiting


async def test_a_column_that_changes_its_type_under_a_running_api_is_not_noticed(
    busy: Busy,
) -> None:
    ours = await factories.make_organization(busy.database)

    async def use_everything() -> set[int]:
        """Statuses of requests of every kind, several of each, so that every connection runs their statements."""
        reads = [
            busy.http.get(path, headers=ours.headers)
            for path in ("/credits", "/agents", "/sessions", "/content", "/v1/models")
            for _ in range(_POOL_SIZE)
        ]
        chats = [ask(busy.http, ours, "Hello") for _ in range(_POOL_SIZE)]
        return {response.status_code for response in await asyncio.gather(*reads, *chats)}

    statuses = [await use_everything()]
    for digits, text in ((20, "varchar(4000)"), (22, "text")):
        for change in _CHANGES:
            async with busy.database.transaction() as tx:
                await tx.execute(change.format(digits=digits, text=text))
            statuses.append(await use_everything())

    assert statuses == [{200}] * 9
    # Otherwise this test shows nothing.
    assert "prepared_statements_forgotten" in busy.log.read_text()
