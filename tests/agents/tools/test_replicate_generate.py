import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.agents.tools.protocol import ToolCall, ToolTurn
from app.agents.tools.replicate_generate import ReplicateGenerate
from app.content.urls import FileUrls
from app.core.attribution import Attribution
from app.core.database import Database
from app.core.settings import Settings
from app.generations.service import GenerationPolicy
from app.queue.arq import ArqQueue
from app.queue.open import open_redis
from app.storage.local import LocalStore
from tests import factories
from tests.core.sites import create_database, furnish, settings_of
from tests.factories import Organization
from tests.waiting import PATIENCE, until


@pytest.fixture
async def tool(
    database: Database, environment: dict[str, str], organization: Organization, tmp_path: Path
) -> AsyncIterator[ReplicateGenerate]:
    redis = open_redis(Settings.model_validate({name.lower(): value for name, value in environment.items()}))
    yield ReplicateGenerate(
        database,
        ArqQueue(redis),
        FileUrls(LocalStore(tmp_path), ""),
        GenerationPolicy(timedelta(hours=1), max_retries=3),
        wait_seconds=0,
        models=[],
        turn=ToolTurn(organization.user_id, Attribution(organization_id=organization.id), request_key=None),
    )
    await redis.aclose(close_connection_pool=True)


async def count_generations(database: Database, organization: Organization) -> int:
    async with database.transaction() as tx:
        query = "SELECT count(*) FROM generations WHERE organization_id = $1"
        return int(await tx.fetchval(query, organization.id))


@pytest.mark.parametrize("levels", [300, 900])
async def test_a_model_is_told_that_its_input_cannot_be_stored(
    tool: ReplicateGenerate, database: Database, organization: Organization, levels: int
) -> None:
    deep: Any = "a lighthouse"
    for _ in range(levels):
        deep = [deep]

    result = await tool.run(ToolCall({"model": "simulator/image", "input": {"prompt": deep}}))

    assert "nested too deeply" in json.loads(result)["error"]
    assert await count_generations(database, organization) == 0


@pytest.mark.parametrize(
    "model", ["", "\0", "simulator/image\0", "simulator/image:\ud800", "simulator/image:" + "a" * 3_000_000]
)
async def test_a_model_is_told_that_there_is_no_model_of_an_odd_name(
    tool: ReplicateGenerate, database: Database, organization: Organization, model: str
) -> None:
    result = await tool.run(ToolCall({"model": model, "input": {"prompt": "a lighthouse"}}))

    assert json.loads(result)["error"].startswith("There is no model")
    assert len(result) < 1000
    assert await count_generations(database, organization) == 0


async def test_a_model_is_told_that_a_generation_was_lost_in_a_failover(
    tool: ReplicateGenerate, environment: dict[str, str], tmp_path: Path
) -> None:
    # A Postgres of its own, whose books need not be right afterwards.
    site = environment | {"DATABASE_URL": await create_database(environment["DATABASE_URL"])}
    await furnish(site, tmp_path)
    database = Database.open(settings_of(site))
    owner = await factories.make_organization(database)
    turn = ToolTurn(owner.user_id, Attribution(organization_id=owner.id), request_key=None)
    waiting = replace(tool, database=database, turn=turn, wait_seconds=PATIENCE)
    call = ToolCall({"model": "simulator/image", "input": {"prompt": "a lighthouse"}})
    running = asyncio.create_task(waiting.run(call))
    await until(lambda: count_generations(database, owner))

    async with database.transaction() as tx:
        # As if the transaction that requested it had never been: nothing follows from the deletion.
        await tx.execute("SET LOCAL session_replication_role = replica")
        for table in ("attempts", "generations"):
            await tx.execute(f"DELETE FROM {table} WHERE organization_id = $1", owner.id)

    assert json.loads(await running)["error"].startswith("The generation was lost")
    await database.close()
