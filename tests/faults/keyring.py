"""Keys presented to every process, and the connections on which processes learn of changes."""

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
    """Presents keys to every process."""

    http: httpx.AsyncClient
    replicas: Replicas

    async def show(self, key: str, path: str = "/credits") -> list[httpx.Response]:
        """The response of each process to the key."""
        urls = [self.replicas.base_url(number) + path for number in PROCESSES]
        return await asyncio.gather(*(self.http.get(url, headers={"X-API-Key": key}) for url in urls))

    async def statuses(self, key: str, path: str = "/credits") -> set[int]:
        """The different statuses of those responses."""
        return {response.status_code for response in await self.show(key, path)}


async def key_id_of(database: Database, key: str) -> str:
    """The id of a key that can be used."""
    async with database.transaction() as tx:
        return (await api_keys.find_caller(tx, sha256(key))).key_id


async def revoke(database: Database, organization: Organization, key: str) -> None:
    """Revoke the key as the operator does."""
    key_id = await key_id_of(database, key)
    async with database.transaction() as tx:
        await api_keys.revoke_key(tx, organization.id, key_id, actor=COMMAND_LINE)


async def check_until(keyring: Keyring, key: str, moment: datetime) -> None:
    """The key works before the moment, and not any more from then on."""
    is_over = False
    while not is_over:
        asked_at = datetime.now(UTC)
        statuses = await keyring.statuses(key)
        if datetime.now(UTC) < moment:
            assert statuses == {200}
        is_over = asked_at >= moment
    assert statuses == {401}


async def last_use(database: Database, key: str) -> datetime | None:
    """When the key was last used, as far as the database knows."""
    key_id = await key_id_of(database, key)
    async with database.transaction() as tx:
        used_at: datetime | None = await tx.fetchval("SELECT last_used_at FROM api_keys WHERE id = $1", key_id)
    return used_at


async def find_listeners(database: Database) -> list[int]:
    """The server processes of the connections by which processes hear of changes: they belong to no pool."""
    async with database.transaction() as tx:
        found = await tx.fetch(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
            " AND datname = current_database() AND application_name <> 'junis'"
        )
    return [row["pid"] for row in found]


async def end_listeners(database: Database) -> int:
    """Cut those connections off; how many there were."""
    listeners = await find_listeners(database)
    async with database.transaction() as tx:
        await tx.execute("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", listeners)
    return len(listeners)
