"""An API and a worker are killed during their work: all work still ends, and is charged once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest

from app.rate_limits.limiter import LEASE_SECONDS
from app.verification.service import find_faults
from tests.faults.books import charges, content_statuses, until_ended
from tests.faults.crash import CHAT, COMPLETING, COPYING, CREATING, KEY, RUNNING, SLOTS, Crash, crash, installation
from tests.rate_limits.windows import redis_seconds, slot_leases
from tests.waiting import PATIENCE


@pytest.fixture(scope="module")
async def crashed(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Crash]:
    async with installation(environment, tmp_path_factory.mktemp("crash")) as there, crash(there) as left:
        yield left


async def test_generations_end_once_from_any_stage_at_which_the_worker_was_killed(crashed: Crash) -> None:
    database = crashed.installation.database
    await until_ended(database, crashed.generating)

    assert await content_statuses(database, crashed.generating) == ["completed"] * 4
    charged = await charges(database, crashed.generating)
    assert list(charged.values()) == [Decimal("0.1")] * 4
    assert all(reference.startswith("generation:") for reference in charged)
    # The vendor ran each generation once.
    predictions = Counter(entry["model"] for entry in crashed.installation.vendors.log("prediction"))
    assert predictions == dict.fromkeys((CREATING, RUNNING, COPYING, COMPLETING), 1)


async def test_stored_outputs_are_complete(crashed: Crash) -> None:
    database = crashed.installation.database
    await until_ended(database, crashed.generating)

    async with database.transaction() as tx:
        rows = await tx.fetch("SELECT storage_path, size_bytes FROM outputs")
    objects = crashed.installation.folder / "objects"
    stored = [row for row in rows if row["size_bytes"] is not None]
    assert len(stored) == 4
    assert all((objects / row["storage_path"]).stat().st_size == row["size_bytes"] for row in stored)
    # The sweeper has yet to delete what interrupted copies have left. It finds that by the rows.
    found = {str(path.relative_to(objects)) for path in objects.rglob("*.png")}
    assert found <= {row["storage_path"] for row in rows}


async def test_chats_that_were_cut_off_cost_nothing_and_leave_no_hold(crashed: Crash) -> None:
    database = crashed.installation.database
    for organization in (crashed.chatting, crashed.settling):
        await until_ended(database, organization)

        assert await charges(database, organization) == {}


async def test_an_idempotency_key_whose_run_was_cut_off_runs_again_and_is_charged_once(crashed: Crash) -> None:
    database = crashed.installation.database
    await until_ended(database, crashed.keyed)
    chat = {"messages": [{"role": "user", "content": "Once"}], "stream": False}
    async with httpx.AsyncClient(base_url=crashed.api.base_url, headers=crashed.keyed.headers, timeout=30) as client:
        responses = [await client.post(CHAT, json=chat, headers=KEY) for _ in range(2)]

    assert [response.status_code for response in responses] == [200, 200]
    assert ["Idempotent-Replayed" in response.headers for response in responses] == [False, True]
    assert responses[1].content == responses[0].content
    assert len(await charges(database, crashed.keyed)) == 1


async def test_the_books_are_correct(crashed: Crash) -> None:
    for organization in crashed.cut_off:
        await until_ended(crashed.installation.database, organization)

    async with crashed.installation.database.transaction() as tx:
        assert await find_faults(tx) == []


async def test_slots_of_the_killed_api_are_free_after_one_lease_and_others_are_kept(crashed: Crash) -> None:
    redis = crashed.installation.redis
    assert len(crashed.leases) == SLOTS
    assert max(crashed.leases) <= LEASE_SECONDS
    async with httpx.AsyncClient(
        base_url=crashed.api.base_url, headers=crashed.chatting.headers, timeout=PATIENCE
    ) as client:
        remaining = crashed.killed_at + LEASE_SECONDS - await redis_seconds(redis)
        await asyncio.sleep(max(0, remaining))

        responses = await asyncio.gather(*(client.get("/credits") for _ in range(SLOTS)))

    assert [response.status_code for response in responses] == [200] * SLOTS
    assert await slot_leases(redis, crashed.chatting.id) == []
    # One request of the other API has been running for longer than a lease.
    assert len(await slot_leases(redis, crashed.living.id)) == 1
