"""Requests to every process with a key, and the connections on which the processes hear of changed keys."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from app.api_keys import service as api_keys
from app.audit.actor import COMMAND_LINE
from app.core.crypto import sha256
from app.core.database import Database
from tests.factories import Organization
from tests.faults.conftest import Replicas

PROCESSES = (0, 1, 2)


@dataclass(frozen=True)
class Keyring:
    """Sends requests with a key to every process."""

    http: httpx.AsyncClient
    replicas: Replicas

    async def show(self, key: str, path: str = "/credits") -> list[httpx.Response]:
        """The response of each process to a request with this key."""
        urls = [self.replicas.base_url(number) + path for number in PROCESSES]
        return await asyncio.gather(*(self.http.get(url, headers={"X-API-Key": key}) for url in urls))

    async def statuses(self, key: str, path: str = "/credits") -> set[int]:
        """The set of the statuses of those responses."""
        return {response.status_code for response in await self.show(key, path)}


async def key_id_of(database: Database, key: str) -> str:
    """The id of a valid key."""
    async with database.transaction() as tx:
        return (await api_keys.find_caller(tx, sha256(key))).key_id


async def revoke(database: Database, organization: Organization, key: str) -> None:
    """Revoke the key as an operator does."""
    key_id = await key_id_of(database, key)
    async with database.transaction() as tx:
        await api_keys.revoke_key(tx, organization.id, key_id, actor=COMMAND_LINE)


async def check_until(keyring: Keyring, key: str, moment: datetime) -> None:
    """Assert that the key works until this moment and not afterwards."""
    is_over = False
    while not is_over:
        asked_at = datetime.now(UTC)
        statuses = await keyring.statuses(key)
        if datetime.now(UTC) < moment:
            assert statuses == {200}
        is_over = asked_at >= moment
    assert statuses == {401}


async def last_use(database: Database, key: str) -> datetime | None:
    """When the key was last used, according to the database."""
    key_id = await key_id_of(database, key)
    async with database.transaction() as tx:
        used_at: datetime | None = await tx.fetchval("SELECT last_used_at FROM api_keys WHERE id = $1", key_id)
    return used_at


async def find_listeners(database: Database) -> list[int]:
    """The Postgres backends of the connections on which processes listen for changes; they belong to no pool."""
    async with database.transaction() as tx:
        found = await tx.fetch(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND datname = current_database() AND application_name <> 'junis'"
        )
    return [row["pid"] for row in found]


async def end_listeners(database: Database) -> int:
    """End those connections; returns how many there were."""
    listeners = await find_listeners(database)
    async with database.transaction() as tx:
        await tx.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", listeners)
    return len(listeners)
