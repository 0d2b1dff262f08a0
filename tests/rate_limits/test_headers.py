"""The limit headers, which are on every response to a request with a valid key."""

from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.rate_limits.making import make_plan
from tests.rate_limits.responses import until_status, window
from tests.waiting import PATIENCE

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


async def limited_client(
    stack: Stack, database: Database, plan: str, **organization: Any
) -> tuple[httpx.AsyncClient, Organization]:
    made = await factories.make_organization(database, plan=plan, **organization)
    return httpx.AsyncClient(base_url=stack.base_url, headers=made.headers, timeout=30), made


async def test_every_request_that_passes_the_checks_counts_as_one(stack: Stack, database: Database) -> None:
    client, _ = await limited_client(stack, database, await make_plan(database, per_minute=7, concurrent=1), credit="0")
    async with client:
        responses = [
            await client.get("/credits"),
            await client.post(CHAT, content=b"{not json"),
            await client.post(CHAT, json={"messages": []}),
            await client.post(CHAT, json=HELLO),
            await client.get("/content/00000000-0000-4000-8000-000000000000"),
            await client.get("/content?page=0"),
            await client.get("/content"),
            await client.get("/credits"),
            await client.post(CHAT, json=HELLO),
        ]

    assert [response.status_code for response in responses] == [200, 400, 400, 402, 404, 400, 200, 429, 429]
    assert [window(response) for response in responses] == [(7, left) for left in (6, 5, 4, 3, 2, 1, 0, 0, 0)]


async def test_a_stream_has_limit_headers(stack: Stack, database: Database) -> None:
    client, _ = await limited_client(stack, database, await make_plan(database, per_minute=3))
    async with client, client.stream("POST", CHAT, json=HELLO | {"stream": True}) as response:
        assert response.status_code == 200
        assert window(response) == (3, 2)
        assert (await response.aread()).endswith(b"data: [DONE]\n\n")


async def test_a_request_that_the_checks_refuse_does_not_count(stack: Stack, database: Database) -> None:
    client, organization = await limited_client(
        stack, database, await make_plan(database, per_minute=5), scopes=["sessions:read"]
    )
    async with client:
        first = await client.get("/credits")
        refused = [await client.get("/content") for _ in range(3)]
        async with database.transaction() as tx:
            await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", organization.id)
        unsubscribed = await until_status(client, "/credits", 403)

    assert window(first) == (5, 4)
    assert [response.status_code for response in refused] == [403, 403, 403]
    assert [window(response) for response in refused] == [(5, 4)] * 3
    limit, remaining = window(unsubscribed)
    assert (limit, remaining < 5) == (5, True)


@pytest.mark.parametrize(
    ("named", "suffixes"),
    [
        ({}, []),
        ({"requests_per_minute": 3}, ["-Minute"]),
        ({"requests_per_hour": 4}, ["-Hour"]),
        ({"requests_per_minute": 3, "requests_per_hour": 4}, ["-Minute", "-Hour"]),
    ],
)
async def test_a_key_with_its_own_limits_has_headers_for_them(
    stack: Stack, database: Database, organization: Organization, named: dict[str, Any], suffixes: list[str]
) -> None:
    secret = await factories.make_key(database, organization, **named)
    async with httpx.AsyncClient(base_url=stack.base_url, headers={"X-API-Key": secret}, timeout=PATIENCE) as client:
        response = await client.get("/credits")

    names = {name for name in response.headers if name.startswith("x-ratelimit-")}
    wanted = {"", *suffixes}
    assert names == {
        f"x-ratelimit-{name}{suffix}".lower() for name in ("limit", "remaining", "reset") for suffix in wanted
    }
    limits = {"-Minute": named.get("requests_per_minute", 0), "-Hour": named.get("requests_per_hour", 0)}
    assert [window(response, suffix) for suffix in suffixes] == [
        (limits[suffix], limits[suffix] - 1) for suffix in suffixes
    ]


async def test_requests_over_a_keys_limit_are_refused_until_its_window_has_room(
    stack: Stack, database: Database, organization: Organization
) -> None:
    by_minute = await factories.make_key(database, organization, requests_per_minute=2)
    by_hour = await factories.make_key(database, organization, requests_per_hour=2)
    async with httpx.AsyncClient(base_url=stack.base_url, timeout=PATIENCE) as client:
        for key in (by_minute, by_hour):
            for _ in range(2):
                (await client.get("/credits", headers={"X-API-Key": key})).raise_for_status()
        minute, hour = [await client.get("/credits", headers={"X-API-Key": key}) for key in (by_minute, by_hour)]
        other = await client.get("/credits", headers=organization.headers)

    for refused in (minute, hour):
        assert refused.status_code == 429
        assert refused.json() == {
            "error": {"message": "Too many requests", "type": "rate_limit_error", "code": "rate_limit_exceeded"}
        }
    assert 1 <= int(minute.headers["Retry-After"]) <= 60
    assert "x-should-retry" not in minute.headers
    # SDKs do not wait for an hour, so the header asks them not to retry.
    assert (hour.headers["Retry-After"], hour.headers["x-should-retry"]) == ("60", "false")
    assert other.status_code == 200


async def test_too_many_concurrent_requests_are_refused_and_do_not_count(stack: Stack, database: Database) -> None:
    client, _ = await limited_client(stack, database, await make_plan(database, per_minute=10, concurrent=2))
    slowly = {"messages": [{"role": "user", "content": "Count to 1000, slowly"}], "stream": True}
    async with client:
        async with client.stream("POST", CHAT, json=slowly), client.stream("POST", CHAT, json=slowly):
            refused = [await client.get("/credits") for _ in range(3)]
        freed = await until_status(client, "/credits", 200)

    for response in refused:
        assert response.status_code == 429
        assert response.json()["error"]["code"] == "concurrency_limit_exceeded"
        assert response.headers["Retry-After"] == "1"
        assert window(response) == (10, 8)
    assert window(freed) == (10, 7)
