"""What a process has cached about keys is never older than a second, even if it cannot reach Redis or Postgres."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from app.api_keys import service as api_keys
from app.api_keys.cache import CallerCache
from app.api_keys.errors import InvalidApiKeyError
from app.audit.actor import COMMAND_LINE
from app.core.clock import now
from app.core.database import Database
from tests import factories
from tests.factories import Organization
from tests.faults.conftest import Replicas
from tests.faults.keyring import (
    PROCESSES,
    Keyring,
    check_until,
    end_listeners,
    find_listeners,
    key_id_of,
    last_use,
    revoke,
)
from tests.patient import patient_transaction
from tests.rate_limits.making import make_plan
from tests.waiting import until

# A cached key that is older than this is read again, so no process uses an older state.
HEARD_SECONDS = 1.0


@pytest.fixture
async def keyring(replicas: Replicas) -> AsyncIterator[Keyring]:
    async with httpx.AsyncClient(timeout=30) as http:
        yield Keyring(http, replicas)


async def test_a_revoked_key_is_refused_everywhere_within_a_second(
    keyring: Keyring, database: Database, organization: Organization
) -> None:
    assert await keyring.statuses(organization.api_key) == {200}

    await revoke(database, organization, organization.api_key)
    await asyncio.sleep(HEARD_SECONDS)

    for response in await keyring.show(organization.api_key):
        assert response.status_code == 401
        assert response.json()["error"] == {
            "message": "Invalid API key",
            "type": "authentication_error",
            "code": "invalid_api_key",
        }


async def test_a_revoked_key_is_refused_everywhere_while_redis_is_away(
    keyring: Keyring, replicas: Replicas, database: Database, organization: Organization
) -> None:
    replicas.valkey.kill()
    try:
        assert await keyring.statuses(organization.api_key) == {200}

        await revoke(database, organization, organization.api_key)
        await asyncio.sleep(HEARD_SECONDS)

        assert await keyring.statuses(organization.api_key) == {401}
    finally:
        replicas.valkey.start()


async def test_a_revoked_key_is_refused_everywhere_if_the_listeners_are_disconnected(
    keyring: Keyring, database: Database, organization: Organization
) -> None:
    assert await keyring.statuses(organization.api_key) == {200}

    cut_off = await end_listeners(database)
    await revoke(database, organization, organization.api_key)
    await asyncio.sleep(HEARD_SECONDS)

    assert cut_off >= len(PROCESSES)
    assert await keyring.statuses(organization.api_key) == {401}


async def test_a_revoked_key_is_refused_everywhere_if_the_listeners_hear_nothing(
    keyring: Keyring, database: Database, organization: Organization
) -> None:
    """As when a network drops all packets: the connections stay open, and nothing arrives."""
    listeners = await find_listeners(database)
    for pid in listeners:
        os.kill(pid, signal.SIGSTOP)
    try:
        assert await keyring.statuses(organization.api_key) == {200}

        await revoke(database, organization, organization.api_key)
        await asyncio.sleep(HEARD_SECONDS)

        assert len(listeners) >= len(PROCESSES)
        assert await keyring.statuses(organization.api_key) == {401}
    finally:
        for pid in listeners:
            os.kill(pid, signal.SIGCONT)


async def test_a_key_expires_to_the_second(keyring: Keyring, database: Database, organization: Organization) -> None:
    expires_at = now() + timedelta(seconds=1.5)
    key = await factories.make_key(database, organization, expires_at=expires_at)

    await check_until(keyring, key, expires_at)


async def test_a_rotated_key_works_until_its_overlap_ends_and_the_new_key_keeps_working(
    keyring: Keyring, database: Database, organization: Organization
) -> None:
    old = organization.api_key
    assert await keyring.statuses(old) == {200}
    old_id = await key_id_of(database, old)

    async with database.transaction() as tx:
        rotated = await api_keys.rotate_key(
            tx, organization.id, old_id, overlap=timedelta(seconds=1.5), actor=COMMAND_LINE
        )
        ends_at = await tx.fetchval("SELECT revoked_at FROM api_keys WHERE id = $1", old_id)

    assert await keyring.statuses(rotated.secret) == {200}
    await check_until(keyring, old, ends_at)
    assert await keyring.statuses(rotated.secret) == {200}


async def test_changed_permissions_of_a_key_apply_everywhere_within_a_second(
    keyring: Keyring, database: Database
) -> None:
    plan = await make_plan(database, per_minute=500)
    scoped, replanned, unsubscribed, limited = [
        await factories.make_organization(database, plan=plan) for _ in range(4)
    ]
    for each in (scoped, replanned, unsubscribed, limited):
        assert await keyring.statuses(each.api_key, "/content") == {200}

    async with database.transaction() as tx:
        await tx.execute("UPDATE api_keys SET scopes = '{agents:list}' WHERE organization_id = $1", scoped.id)
        await tx.execute("UPDATE api_keys SET requests_per_minute = 3 WHERE organization_id = $1", limited.id)
        await tx.execute("UPDATE organizations SET plan_name = 'pro' WHERE id = $1", replanned.id)
        await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", unsubscribed.id)
    await asyncio.sleep(HEARD_SECONDS)

    assert await keyring.statuses(scoped.api_key, "/content") == {403}
    for organization, header, limit in (
        (replanned, "X-RateLimit-Limit", "300"),
        (limited, "X-RateLimit-Limit-Minute", "3"),
    ):
        responses = await keyring.show(organization.api_key, "/content")
        assert [response.headers[header] for response in responses] == [limit] * len(PROCESSES)
    refusals = await keyring.show(unsubscribed.api_key, "/content")
    assert {response.json()["error"]["code"] for response in refusals} == {"subscription_required"}


async def test_a_plans_new_limits_apply_everywhere_within_a_second(keyring: Keyring, database: Database) -> None:
    plan = await make_plan(database, per_minute=500)
    organization = await factories.make_organization(database, plan=plan)
    assert await keyring.statuses(organization.api_key) == {200}

    await make_plan(database, name=plan, per_minute=2)
    await asyncio.sleep(HEARD_SECONDS)

    responses = await keyring.show(organization.api_key)
    assert {(response.status_code, response.headers["X-RateLimit-Limit"]) for response in responses} == {(429, "2")}


async def test_the_last_use_of_a_key_is_saved(database: Database, organization: Organization) -> None:
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


async def test_a_last_use_that_could_not_be_saved_is_saved_the_next_time(
    database: Database, organization: Organization
) -> None:
    cache = CallerCache(database)
    await cache.get(organization.api_key)

    async with patient_transaction(database) as tx:
        await tx.execute("SELECT FROM api_keys WHERE organization_id = $1 FOR UPDATE", organization.id)
        own = await tx.fetchval("SELECT pg_backend_pid()")
        writing = asyncio.create_task(cache.write_uses())
        await until(lambda: is_cancelled_that_waits_for(database, own))
        await writing
    assert await last_use(database, organization.api_key) is None

    await cache.write_uses()
    assert await last_use(database, organization.api_key) is not None


async def is_cancelled_that_waits_for(database: Database, pid: int) -> bool:
    """Cancel the statements that wait for a lock of this backend, as an administrator or a timeout does."""
    # A new transaction each time, because a transaction keeps seeing the same statistics of other backends.
    async with database.transaction() as tx:
        waiting = "SELECT pid FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid))"
        return bool(await tx.fetchval(f"SELECT bool_or(pg_cancel_backend(pid)) FROM ({waiting}) waiting", pid))


async def test_processes_that_save_the_last_use_of_the_same_keys_do_not_deadlock(
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
