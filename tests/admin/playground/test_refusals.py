"""What the playground refuses: at its fields, to viewers, to forged forms, and over limits."""

from html import unescape

import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from app.core.redis_keys import redis_key
from tests.admin.conftest import Browser, BrowserOf
from tests.admin.playground.holds import rows_of
from tests.admin.playing import fields, stream_turn
from tests.agents.definitions import make_host
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import until


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"tools": "{"}, "tools"),
        ({"tools": "7"}, "tools"),
        ({"tools": '{"type": "function", "function": {"name": "no spaces"}}'}, "tools"),
        ({"more": '{"n": 3}'}, "more"),
        ({"more": '{"messages": []}'}, "more"),
        ({"more": "[1]"}, "more"),
        ({"temperature": "9"}, "temperature"),
        ({"max_tokens": "0"}, "max_tokens"),
        ({"say": " "}, "say"),
        ({"session": "x" * 600}, "session"),
    ],
    ids=["no-json", "number", "tool-name", "several", "taken", "no-object", "hot", "no-tokens", "silent", "long-name"],
)
async def test_what_is_wrong_is_said_at_its_field_and_kept(
    owner: Browser, host: Organization, database: Database, given: dict[str, str], field: str
) -> None:
    form = fields("count to 2", **({"max_tokens": "50"} | given)) if "say" not in given else fields("", max_tokens="50")

    streamed = await owner.post("/playground/turns", data=form, headers={"X-CSRF-Token": owner.csrf})
    page = await owner.submit("/playground", **form)

    assert streamed.status_code == page.status_code == 422
    assert list(streamed.json()["fields"]) == [field]
    assert unescape(page.text).count(streamed.json()["fields"][field]) >= 1
    assert f">{form['say']}</textarea>" in page.text
    assert await rows_of(database, host) == []


async def test_a_viewer_may_not(browser_of: BrowserOf, host: Organization, database: Database) -> None:
    viewer = await browser_of("viewer", host)

    assert (await viewer.get("/playground")).status_code == 403
    assert (await viewer.submit("/playground", **fields("count to 2"))).status_code == 403
    refused = await viewer.post("/playground/turns", data=fields("count to 2"), headers={"X-CSRF-Token": viewer.csrf})
    assert refused.status_code == 403
    assert await rows_of(database, host) == []


@pytest.mark.parametrize("path", ["/playground", "/playground/turns", "/playground/code"])
async def test_a_forged_form_runs_nothing(owner: Browser, host: Organization, database: Database, path: str) -> None:
    forged = await owner.post(path, data=fields("count to 2", csrf="forged"))

    assert forged.status_code == 403
    assert await rows_of(database, host) == []


async def test_without_credits_or_subscription_it_is_refused_in_words(
    database: Database, browser_of: BrowserOf
) -> None:
    host = await make_host(database, credit="0")
    owner = await browser_of("owner", host)

    poor = await owner.post("/playground/turns", data=fields("count to 2"), headers={"X-CSRF-Token": owner.csrf})
    async with database.transaction() as tx:
        await tx.execute("UPDATE organizations SET subscription_status = 'inactive' WHERE id = $1", host.id)
    page = await owner.submit("/playground", **fields("count to 2"))

    assert poor.status_code == 402
    assert "credits" in poor.json()["message"].lower()
    assert page.status_code == 422
    assert "subscription" in page.text.lower()
    assert ">count to 2</textarea>" in page.text


async def test_it_counts_in_the_plan_and_in_no_keys_windows(
    database: Database, browser_of: BrowserOf, stack: Stack
) -> None:
    host = await make_host(database)
    owner = await browser_of("owner", host)

    await stream_turn(owner, fields("count to 2"))
    await owner.get("/playground")

    async with httpx.AsyncClient(base_url=stack.base_url, headers=host.headers) as http:
        response = await http.get("/sessions")
    limit, remaining = (int(response.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining"))
    assert limit - remaining == 2
    async with Redis.from_url(stack.environment["REDIS_URL"]) as redis:
        await until(lambda: has_no_slot(redis, host))


async def has_no_slot(redis: Redis, host: Organization) -> bool:
    return not await redis.zcard(redis_key("slots", host.id))


async def test_over_the_plans_limit_it_is_refused(database: Database, browser_of: BrowserOf) -> None:
    host = await make_host(database)
    owner = await browser_of("owner", host)
    async with database.transaction() as tx:
        await tx.execute(
            "INSERT INTO plans (name, requests_per_minute, concurrent_requests, concurrent_generations,"
            " monthly_credits) VALUES ($1, 1, 5, 5, 0)",
            f"small {host.id}",
        )
        await tx.execute("UPDATE organizations SET plan_name = $2 WHERE id = $1", host.id, f"small {host.id}")

    await stream_turn(owner, fields("count to 2"))
    refused = await owner.post("/playground/turns", data=fields("count to 2"), headers={"X-CSRF-Token": owner.csrf})

    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


async def test_another_members_session_is_not_there(owner: Browser, host: Organization, browser_of: BrowserOf) -> None:
    form = fields("say my-secret")
    turn = (await stream_turn(owner, form))[0]["turn"]
    member = await browser_of("member", host)

    assert (await member.get(f"/playground?session={form['session']}")).status_code == 404
    assert (await member.get(f"/playground/turns/{turn}")).status_code == 404
    mine = await stream_turn(member, fields("count to 2", session=form["session"]))
    assert "my-secret" not in mine[-1]["html"]
