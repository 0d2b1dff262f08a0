"""How many round trips to Postgres and Redis the checks of a request with a known key cost."""

import httpx

from app.core.database import Database
from tests import factories
from tests.rate_limits.conftest import WatchedApi
from tests.rate_limits.making import make_plan
from tests.waiting import PATIENCE

REQUESTS = 100
# The process has background work of its own, such as noting when keys were last used.
FEW = 20


async def round_trips(api: WatchedApi, client: httpx.AsyncClient, path: str, status: int) -> tuple[int, int]:
    """The API's round trips to Postgres and Redis for a number of requests, once it knows the key."""
    assert (await client.get(path)).status_code == status
    postgres, redis = api.postgres.round_trips, api.redis.round_trips
    for _ in range(REQUESTS):
        assert (await client.get(path)).status_code == status
    return api.postgres.round_trips - postgres, api.redis.round_trips - redis


async def test_a_decision_costs_no_round_trip_to_postgres_and_one_to_redis(
    watched_api: WatchedApi, database: Database
) -> None:
    organization = await factories.make_organization(database, plan=await make_plan(database, per_minute=1))
    async with httpx.AsyncClient(
        base_url=watched_api.base_url, headers=organization.headers, timeout=PATIENCE
    ) as client:
        await client.get("/credits")

        postgres, redis = await round_trips(watched_api, client, "/credits", 429)

    assert postgres < FEW
    assert REQUESTS <= redis < REQUESTS + FEW


async def test_a_refusal_by_scope_costs_no_more_round_trips(watched_api: WatchedApi, database: Database) -> None:
    organization = await factories.make_organization(database, scopes=["sessions:read"])
    async with httpx.AsyncClient(
        base_url=watched_api.base_url, headers=organization.headers, timeout=PATIENCE
    ) as client:
        postgres, redis = await round_trips(watched_api, client, "/content", 403)

    assert postgres < FEW
    assert redis < REQUESTS + FEW


async def test_releasing_the_slot_costs_one_more_round_trip(watched_api: WatchedApi, database: Database) -> None:
    organization = await factories.make_organization(database)
    async with httpx.AsyncClient(
        base_url=watched_api.base_url, headers=organization.headers, timeout=PATIENCE
    ) as client:
        postgres, redis = await round_trips(watched_api, client, "/credits", 200)

    # The route's own transaction: begin, one statement, commit.
    assert postgres < REQUESTS * 3 + FEW
    assert REQUESTS * 2 <= redis < REQUESTS * 2 + FEW
