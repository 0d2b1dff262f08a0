"""What a worker really makes and charges is computed again from the price, and found right."""

import pytest

from app.core.database import Database
from app.core.settings import Settings
from app.generations.service import GenerationPolicy, GenerationRequest, request_generation
from app.queue.arq import ArqQueue
from app.queue.open import open_redis
from tests import factories
from tests.conftest import Stack
from tests.faults.books import content_statuses, faults_of, until_ended

_EVENTS = "SELECT model, cost, predict_time, outputs FROM metering_events WHERE organization_id = $1"


@pytest.mark.parametrize("model", ["image", "video", "audio", "glb", "text", "json"])
async def test_a_generation_of_each_kind_of_price_is_right(stack: Stack, database: Database, model: str) -> None:
    organization = await factories.make_organization(database)
    settings = Settings.model_validate({name.lower(): value for name, value in stack.environment.items()})
    redis = open_redis(settings)
    wanted = GenerationRequest(organization.id, organization.user_id, None, None, f"simulator/{model}", {"prompt": "x"})

    async with database.transaction() as tx:
        await request_generation(tx, ArqQueue(redis), GenerationPolicy.of(settings), wanted)
    await until_ended(database, organization)
    await redis.aclose(close_connection_pool=True)

    assert await content_statuses(database, organization) == ["completed"]
    assert await faults_of(database, organization) == []
    async with database.transaction() as tx:
        (event,) = await tx.fetch(_EVENTS, organization.id)
    assert event["model"] == f"simulator/{model}"
    assert event["outputs"] >= 1
    assert event["predict_time"] > 0
