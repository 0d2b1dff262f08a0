"""What clients are told of their limits, on every answer that a key gets."""

from typing import Any

import httpx
import pytest

from app.api_keys import service as api_keys
from app.api_keys.key_request import KeyRequest
from app.audit.actor import COMMAND_LINE
from app.core.database import Database
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.rate_limits.answers import until_status, window
from tests.rate_limits.making import make_plan
from tests.waiting import PATIENCE

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "Hello"}]}


async def limited_client(
    stack: Stack, database: Database, plan: str, **organization: Any
) -> tuple[httpx.AsyncClient, Organization]:
    made = await factories.make_organization(database, plan=plan, **organization)
    return httpx.AsyncClient(base_url=stack.base_url, headers=made.headers, timeout=30), made


async def test_every_answer_after_the_checks_counts_one_request(stack: Stack, database: Database) -> None:
    client, _ = await limited_client(stack, database, await make_plan(database, per_minute=7, concurrent=1), credit="0")
    async with client:
        answers = [
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

    assert [answer.status_code for answer in answers] == [200, 400, 400, 402, 404, 400, 200, 429, 429]
    assert [window(answer) for answer in answers] == [(7, left) for left in (6, 5, 4, 3, 2, 1, 0, 0, 0)]


async def test_a_stream_tells_its_limits_when_it_begins(stack: Stack, database: Database) -> None:
    client, _ = await limited_client(stack, database, await make_plan(database, per_minute=3))
    async with client, client.stream("POST", CHAT, json=HELLO | {"stream": True}) as answer:
        assert answer.status_code == 200
        assert window(answer) == (3, 2)
        assert (await answer.aread()).endswith(b"data: [DONE]\n\n")


async def test_what_the_checks_refuse_counts_as_nothing(stack: Stack, database: Database) -> None:
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
    assert [answer.status_code for answer in refused] == [403, 403, 403]
    assert [window(answer) for answer in refused] == [(5, 4)] * 3
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
async def test_a_keys_own_windows_are_told_where_it_has_any(
    stack: Stack, database: Database, organization: Organization, named: dict[str, Any], suffixes: list[str]
) -> None:
    async with database.transaction() as tx:
        new = await api_keys.create_key(
            tx,
            KeyRequest(name="limited", **named),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
        secret = new.secret
    async with httpx.AsyncClient(base_url=stack.base_url, headers={"X-API-Key": secret}, timeout=PATIENCE) as client:
        answer = await client.get("/credits")

    told = {name for name in answer.headers if name.startswith("x-ratelimit-")}
    wanted = {"", *suffixes}
    assert told == {
        f"x-ratelimit-{name}{suffix}".lower() for name in ("limit", "remaining", "reset") for suffix in wanted
    }
    limits = {"-Minute": named.get("requests_per_minute", 0), "-Hour": named.get("requests_per_hour", 0)}
    assert [window(answer, suffix) for suffix in suffixes] == [
        (limits[suffix], limits[suffix] - 1) for suffix in suffixes
    ]


async def test_too_many_requests_of_a_key_are_refused_until_its_window_has_room(
    stack: Stack, database: Database, organization: Organization
) -> None:
    async with database.transaction() as tx:
        new_by_minute = await api_keys.create_key(
            tx,
            KeyRequest(name="minute", requests_per_minute=2),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
        by_minute = new_by_minute.secret
        new_by_hour = await api_keys.create_key(
            tx,
            KeyRequest(name="hour", requests_per_hour=2),
            organization_id=organization.id,
            user_id=organization.user_id,
            actor=COMMAND_LINE,
        )
        by_hour = new_by_hour.secret
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
    # SDKs do not wait for an hour: they are told not to try.
    assert (hour.headers["Retry-After"], hour.headers["x-should-retry"]) == ("60", "false")
    assert other.status_code == 200


async def test_too_many_at_once_are_refused_and_consume_nothing(stack: Stack, database: Database) -> None:
    client, _ = await limited_client(stack, database, await make_plan(database, per_minute=10, concurrent=2))
    slowly = {"messages": [{"role": "user", "content": "Count to 1000, slowly"}], "stream": True}
    async with client:
        async with client.stream("POST", CHAT, json=slowly), client.stream("POST", CHAT, json=slowly):
            refused = [await client.get("/credits") for _ in range(3)]
        freed = await until_status(client, "/credits", 200)

    for answer in refused:
        assert answer.status_code == 429
        assert answer.json()["error"]["code"] == "concurrency_limit_exceeded"
        assert answer.headers["Retry-After"] == "1"
        assert window(answer) == (10, 8)
    assert window(freed) == (10, 7)
