"""Keys go once they have expired, and not before: until then a repeated request gets its stored response."""

import asyncio
from datetime import timedelta
from time import monotonic

from app.core.database import Database
from app.idempotency import service
from app.idempotency.claim import Claim
from app.idempotency.service import IdempotentRequest
from app.retention import pruning
from tests.factories import Organization

_SHIFT = "UPDATE {} SET expires_at = now() + $2::interval WHERE key = $1"


def _request(organization: Organization, key: str) -> IdempotentRequest:
    return IdempotentRequest(organization.id, organization.user_id, "POST /v1/chat/completions", key, b"\0" * 32)


async def _stored(database: Database, organization: Organization, key: str, expires_in: timedelta) -> None:
    request = _request(organization, key)
    async with database.transaction() as tx:
        await service.claim(tx, request)
        await service.store_response(tx, request, {"key": key})
        for table in ("user_idempotency_keys", "idempotency_keys"):
            await tx.execute(_SHIFT.format(table), key, expires_in)


async def _keys(database: Database, table: str = "user_idempotency_keys") -> set[str]:
    async with database.transaction() as tx:
        return {row[0] for row in await tx.fetch(f"SELECT key FROM {table}")}


async def test_only_expired_keys_go(database: Database, organization: Organization) -> None:
    await _stored(database, organization, "expired", -timedelta(microseconds=1))
    await _stored(database, organization, "lives", timedelta(minutes=1))

    pruned = await pruning.prune_idempotency_keys(database, monotonic() + 60)

    assert (pruned.removed, pruned.is_done) == (1, True)
    assert await _keys(database) == await _keys(database, "idempotency_keys") == {"lives"}
    async with database.transaction() as tx:
        assert await service.claim(tx, _request(organization, "lives")) == {"key": "lives"}
    async with database.transaction() as tx:
        assert isinstance(await service.claim(tx, _request(organization, "expired")), Claim)


async def test_a_key_that_is_used_again_at_this_moment_is_passed_over(
    database: Database, organization: Organization
) -> None:
    for key in ("again", "expired"):
        await _stored(database, organization, key, -timedelta(seconds=1))

    async with database.transaction() as tx:
        assert isinstance(await service.claim(tx, _request(organization, "again")), Claim)
        await asyncio.wait_for(service.forget_expired(database), 5)

    assert await _keys(database) == {"again"}


async def test_one_round_forgets_more_than_one_batch(database: Database, organization: Organization) -> None:
    await _stored(database, organization, "first", -timedelta(seconds=1))
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO user_idempotency_keys SELECT k.* FROM user_idempotency_keys u, generate_series(1, 2500) n,"
            " jsonb_populate_record(u, jsonb_build_object('key', 'key-' || n)) k"
        )

    await service.forget_expired(database)

    assert await _keys(database) == set()
