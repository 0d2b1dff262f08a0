"""What a process remembers of keys is never older than a second, whatever it is cut off from."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from app.api_keys import service as api_keys
from app.api_keys.cache import CallerCache
from app.api_keys.errors import InvalidApiKeyError
from app.core.clock import now
from app.core.crypto import sha256
from app.core.database import Database
from tests import factories
from tests.factories import Organization
from tests.faults.conftest import Replicas
from tests.rate_limits.making import make_plan

# Within this time every process has heard of a change.
HEARD_SECONDS = 1.0
PROCESSES = (0, 1, 2)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as opened:
        yield opened


class Keyring:
    """Keys as they are shown to every process."""

    def __init__(self, http: httpx.AsyncClient, replicas: Replicas, path: str = "/credits") -> None:
        self._http = http
        self._replicas = replicas
        self._path = path

    async def show(self, key: str) -> list[httpx.Response]:
        """What each process answers to the key."""
        urls = [self._replicas.base_url(number) + self._path for number in PROCESSES]
        return await asyncio.gather(*(self._http.get(url, headers={"X-API-Key": key}) for url in urls))

    async def statuses(self, key: str) -> set[int]:
        return {answer.status_code for answer in await self.show(key)}


async def key_id_of(database: Database, key: str) -> str:
    async with database.transaction() as tx:
        return (await api_keys.find_caller(tx, sha256(key))).key_id


async def revoke(database: Database, organization: Organization, key: str) -> None:
    key_id = await key_id_of(database, key)
    async with database.transaction() as tx:
        await api_keys.revoke_key(tx, organization.id, key_id)


async def test_a_revoked_key_is_refused_everywhere_within_a_second(
    http: httpx.AsyncClient, replicas: Replicas, database: Database, organization: Organization
) -> None:
    keyring = Keyring(http, replicas)
    assert await keyring.statuses(organization.api_key) == {200}

    await revoke(database, organization, organization.api_key)
    await asyncio.sleep(HEARD_SECONDS)

    for answer in await keyring.show(organization.api_key):
        assert answer.status_code == 401
        assert answer.json()["error"] == {
            "message": "Invalid API key",
            "type": "authentication_error",
            "code": "invalid_api_key",
        }


async def test_it_is_so_while_redis_is_away(
    http: httpx.AsyncClient, replicas: Replicas, database: Database, organization: Organization
) -> None:
    keyring = Keyring(http, replicas)
    replicas.valkey.kill()
    try:
        assert await keyring.statuses(organization.api_key) == {200}

        await revoke(database, organization, organization.api_key)
        await asyncio.sleep(HEARD_SECONDS)

        assert await keyring.statuses(organization.api_key) == {401}
    finally:
        replicas.valkey.start()


async def test_it_is_so_where_the_listeners_are_cut_off(
    http: httpx.AsyncClient, replicas: Replicas, database: Database, organization: Organization
) -> None:
    keyring = Keyring(http, replicas)
    assert await keyring.statuses(organization.api_key) == {200}

    cut_off = await end_listeners(database)
    await revoke(database, organization, organization.api_key)
    await asyncio.sleep(HEARD_SECONDS)

    assert cut_off >= len(PROCESSES)
    assert await keyring.statuses(organization.api_key) == {401}


async def test_a_key_expires_to_the_second(
    http: httpx.AsyncClient, replicas: Replicas, database: Database, organization: Organization
) -> None:
    keyring = Keyring(http, replicas)
    expires_at = now() + timedelta(seconds=1.5)
    async with database.transaction() as tx:
        _, key = await api_keys.create_key(
            tx, organization_id=organization.id, user_id=organization.user_id, name="short", expires_at=expires_at
        )

    await check_until(keyring, key, expires_at)


async def test_a_rotated_key_works_until_its_overlap_ends_and_the_new_one_goes_on(
    http: httpx.AsyncClient, replicas: Replicas, database: Database, organization: Organization
) -> None:
    keyring = Keyring(http, replicas)
    old = organization.api_key
    assert await keyring.statuses(old) == {200}
    old_id = await key_id_of(database, old)

    async with database.transaction() as tx:
        _, new = await api_keys.rotate_key(tx, organization.id, old_id, overlap=timedelta(seconds=1.5))
        ends_at = await tx.fetchval("SELECT revoked_at FROM api_keys WHERE id = $1", old_id)

    assert await keyring.statuses(new) == {200}
    await check_until(keyring, old, ends_at)
    assert await keyring.statuses(new) == {200}


async def test_what_a_key_may_do_changes_everywhere_within_a_second(
    http: httpx.AsyncClient, replicas: Replicas, database: Database
) -> None:
    plan = await make_plan(database, per_minute=500)
    scoped, replanned, unsubscribed, limited = [
        await factories.make_organization(database, plan=plan) for _ in range(4)
    ]
    keyring = Keyring(http, replicas, "/content")
    for each in (scoped, replanned, unsubscribed, limited):
        assert await keyring.statuses(each.api_key) == {200}

    async with database.transaction() as tx:
        await tx.execute("UPDATE api_keys SET scopes = '{agents:list}' WHERE organization_id = $1", scoped.id)
        await tx.execute("UPDATE api_keys SET requests_per_minute = 3 WHERE organization_id = $1", limited.id)
        await tx.execute("UPDATE organizations SET plan_name = 'pro' WHERE id = $1", replanned.id)
        await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", unsubscribed.id)
    await asyncio.sleep(HEARD_SECONDS)

    assert await keyring.statuses(scoped.api_key) == {403}
    assert {answer.headers["X-RateLimit-Limit"] for answer in await keyring.show(replanned.api_key)} == {"300"}
    assert {answer.headers["X-RateLimit-Limit-Minute"] for answer in await keyring.show(limited.api_key)} == {"3"}
    refusals = await keyring.show(unsubscribed.api_key)
    assert {answer.json()["error"]["code"] for answer in refusals} == {"subscription_required"}


async def test_a_plans_new_limits_hold_everywhere_within_a_second(
    http: httpx.AsyncClient, replicas: Replicas, database: Database
) -> None:
    plan = await make_plan(database, per_minute=500)
    organization = await factories.make_organization(database, plan=plan)
    keyring = Keyring(http, replicas)
    assert await keyring.statuses(organization.api_key) == {200}

    await make_plan(database, name=plan, per_minute=2)
    await asyncio.sleep(HEARD_SECONDS)

    answers = await keyring.show(organization.api_key)
    assert {(answer.status_code, answer.headers["X-RateLimit-Limit"]) for answer in answers} == {(429, "2")}


async def test_the_last_use_of_keys_is_noted(database: Database, organization: Organization) -> None:
    cache, unused = CallerCache(database), await factories.make_key(database, organization)
    for _ in range(3):
        await cache.get(organization.api_key)
    with pytest.raises(InvalidApiKeyError):
        await cache.get(f"jns_live_{'0' * 32}")

    await cache.write_uses()

    used_at = await last_use(database, organization.api_key)
    assert used_at is not None
    assert now() - used_at < timedelta(minutes=1)
    assert await last_use(database, unused) is None


async def test_processes_that_note_the_same_keys_at_once_do_not_wait_in_a_circle(
    database: Database, organization: Organization
) -> None:
    for _ in range(60):
        await factories.make_key(database, organization)
    async with database.transaction() as tx:
        keys = [key.id for key in await api_keys.list_keys(tx, organization.id)]

    async def note(key_ids: list[str]) -> None:
        async with database.transaction() as tx:
            await api_keys.note_uses(tx, dict.fromkeys(key_ids, now()))

    for _ in range(10):
        await asyncio.gather(*(note(keys if number % 2 else keys[::-1]) for number in range(6)))


async def check_until(keyring: Keyring, key: str, moment: datetime) -> None:
    """The key works before the moment, and from then on no more."""
    is_over = False
    while not is_over:
        asked_at = datetime.now(UTC)
        statuses = await keyring.statuses(key)
        if datetime.now(UTC) < moment:
            assert statuses == {200}
        is_over = asked_at >= moment
    assert statuses == {401}


async def last_use(database: Database, key: str) -> datetime | None:
    key_id = await key_id_of(database, key)
    async with database.transaction() as tx:
        used_at: datetime | None = await tx.fetchval("SELECT last_used_at FROM api_keys WHERE id = $1", key_id)
    return used_at


async def end_listeners(database: Database) -> int:
    """Cut the connections off by which processes hear of changes, those that are no pool's; how many."""
    async with database.transaction() as tx:
        ended = await tx.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE backend_type = 'client backend' AND datname = current_database() AND application_name <> 'junis'"
        )
    return len(ended)
