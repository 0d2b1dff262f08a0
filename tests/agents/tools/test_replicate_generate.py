import json
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
from tests.factories import Organization


@pytest.mark.parametrize("levels", [300, 900])
async def test_a_model_is_told_that_its_input_cannot_be_stored(
    database: Database, environment: dict[str, str], organization: Organization, tmp_path: Path, levels: int
) -> None:
    deep: Any = "a lighthouse"
    for _ in range(levels):
        deep = [deep]
    redis = open_redis(Settings.model_validate({name.lower(): value for name, value in environment.items()}))
    tool = ReplicateGenerate(
        database,
        ArqQueue(redis),
        FileUrls(LocalStore(tmp_path), ""),
        GenerationPolicy(timedelta(hours=1), max_retries=3),
        wait_seconds=0,
        models=[],
        turn=ToolTurn(organization.user_id, Attribution(organization_id=organization.id), request_key=None),
    )

    result = await tool.run(ToolCall({"model": "simulator/image", "input": {"prompt": deep}}))
    await redis.aclose(close_connection_pool=True)

    assert "nested too deeply" in json.loads(result)["error"]
    async with database.transaction() as tx:
        assert await tx.fetchval("SELECT count(*) FROM generations WHERE organization_id = $1", organization.id) == 0
