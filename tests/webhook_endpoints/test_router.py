"""The API of webhooks: endpoints, their secrets, and what has become of what was sent."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from app.core.database import Database
from app.webhook_endpoints.service import MOST_ENDPOINTS
from tests import factories
from tests.conftest import Stack
from tests.factories import Organization
from tests.waiting import until
from tests.webhook_endpoints.endpoints import tell
from tests.webhook_endpoints.receiver import OK, Receiver, receiving, status

_ENDPOINTS, _DELIVERIES = "/webhooks/endpoints", "/webhooks/deliveries"
_FIELDS = [
    *("id", "url", "description", "events", "enabled", "disabled_reason", "disabled_at", "failing_since"),
    *("former_secret_until", "created_at"),
]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def _create(client: httpx.AsyncClient, url: str, **values: Any) -> dict[str, Any]:
    body = {"url": url, "events": ["credits.low"], **values}
    made: dict[str, Any] = (await client.post(_ENDPOINTS, json=body)).raise_for_status().json()
    return made


async def _until_ended(client: httpx.AsyncClient, delivery_id: str) -> dict[str, Any]:
    async def ended() -> dict[str, Any] | None:
        found: dict[str, Any] = (await client.get(f"{_DELIVERIES}/{delivery_id}")).raise_for_status().json()
        return None if found["state"] == "pending" else found

    return await until(ended) or {}


async def test_an_endpoint_is_made_listed_changed_and_deleted(client: httpx.AsyncClient) -> None:
    response = await client.post(
        _ENDPOINTS, json={"url": "https://example.com/a?b=c", "events": ["credits.low"], "description": "Books"}
    )
    made = response.json()
    path = f"{_ENDPOINTS}/{made['id']}"

    assert (response.status_code, list(made)) == (200, [*_FIELDS, "secret"])
    assert made["secret"].startswith("whsec_")
    shown = {name: made[name] for name in _FIELDS}
    assert (await client.get(path)).json() == shown
    assert (await client.get(_ENDPOINTS)).json() == {"endpoints": [shown], "total": 1}

    changes = {"url": "https://example.com/b", "events": ["content.failed", "content.completed"], "enabled": False}
    changed = (await client.patch(path, json=changes)).json()
    assert changed["events"] == ["content.completed", "content.failed"]
    assert (changed["url"], changed["description"]) == ("https://example.com/b", "Books")
    assert (changed["enabled"], changed["disabled_reason"]) == (False, "asked")
    assert (await client.patch(path, json={"enabled": True})).json()["disabled_reason"] is None

    assert (await client.delete(path)).json() == {"id": made["id"], "deleted": True}
    assert (await client.get(path)).status_code == (await client.delete(path)).status_code == 404
    assert (await client.get(_ENDPOINTS)).json() == {"endpoints": [], "total": 0}


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com", "ftp://example.com", "example.com", "https://", "https://user:pw@example.com"),
        *(
            "https://localhost",
            "https://10.0.0.1/x",
            "https://169.254.169.254/latest",
            "https://[::1]/",
            "http://[fe80::1]/",
        ),
        *("https://example.com/#x", "https://example.com:99999", "https://exa mple.com", "https://" + "x" * 2100),
        "https://[64:ff9b::7f00:1]/",
        *("https://LocalHost./", "https://a.localhost/", "https://127.1/", "https://2130706433/", "https://0x7f.1/"),
        *("https://0x7f000001", "https://127.0.0.1./", "https://%31%32%37.0.0.1/", "https://loca%6Chost/"),
        *("https://a..b/", "https://.a/", "https://*.example.com/", "https://" + "a" * 64 + ".com", "https://[v1.x]/"),
        *(
            "https://example.com:+443/",
            "https://example.com:4_43/",
            "https://[::1",
            "https://[127.0.0.1]/",
            "https://[2606:4700::1]x/",
        ),
    ],
)
async def test_what_can_be_no_receiver_is_refused(client: httpx.AsyncClient, url: str) -> None:
    response = await client.post(_ENDPOINTS, json={"url": url, "events": ["credits.low"]})

    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, "invalid_request", "url")


@pytest.mark.parametrize(
    "url",
    [
        *("https://example.com.", "https://a_b.Example.com:8443/x?y=z", "https://1e100.net", "https://x.0xyz"),
        *(
            "https://1.1.1.1/",
            "https://[2606:4700::1111]:443/",
            "https://" + "a" * 63 + ".com",
            "https://xn--bcher-kva.de",
        ),
    ],
)
async def test_what_can_be_a_receiver_is_kept_as_it_is(client: httpx.AsyncClient, url: str) -> None:
    assert (await _create(client, url))["url"] == url


@pytest.mark.parametrize(
    "values", [{"events": []}, {"events": ["content.made"]}, {"description": "x" * 301}, {"secret": "whsec_own"}]
)
async def test_what_an_endpoint_cannot_have_is_refused(client: httpx.AsyncClient, values: dict[str, Any]) -> None:
    body = {"url": "https://example.com", "events": ["credits.low"], **values}

    assert (await client.post(_ENDPOINTS, json=body)).status_code == 400


async def test_there_are_ten_endpoints_at_most_whoever_asks_at_once(client: httpx.AsyncClient) -> None:
    body = {"url": "https://example.com", "events": ["credits.low"]}

    responses = await asyncio.gather(*(client.post(_ENDPOINTS, json=body) for _ in range(MOST_ENDPOINTS + 3)))

    assert sorted(response.status_code for response in responses) == [200] * MOST_ENDPOINTS + [400] * 3


async def test_a_repeated_request_makes_one_endpoint_and_never_shows_its_secret_again(
    client: httpx.AsyncClient, database: Database
) -> None:
    body = {"url": "https://example.com", "events": ["credits.low"]}

    first, again = [
        (await client.post(_ENDPOINTS, json=body, headers={"Idempotency-Key": "once"})).raise_for_status() for _ in "12"
    ]

    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.json() | {"secret": None} == again.json()
    async with database.transaction() as tx:
        stored = await tx.fetch("SELECT secret FROM webhook_endpoints WHERE id = $1", first.json()["id"])
        kept = await tx.fetchval("SELECT count(*) FROM user_idempotency_keys WHERE response::text LIKE '%whsec_%'")
    assert (len(stored), kept) == (1, 0)
    assert first.json()["secret"].encode() not in stored[0]["secret"]


async def test_a_test_event_arrives_and_is_shown_with_its_try(client: httpx.AsyncClient, receiver: Receiver) -> None:
    made = await _create(client, receiver.url)

    sent = (await client.post(f"{_ENDPOINTS}/{made['id']}/test")).raise_for_status().json()
    ended = await _until_ended(client, sent["id"])

    (got,) = receiver.got
    event = Webhook(made["secret"]).verify(got.body, got.headers)
    assert (event["type"], event["data"]) == ("webhook.test", {"endpoint_id": made["id"]})
    assert (ended["state"], ended["event_id"], ended["body"]) == ("delivered", got.event_id, event)
    (tried,) = ended["last_tries"]
    assert (tried["number"], tried["status"], tried["error"], tried["response"]) == (1, 200, None, "ok")


async def test_a_delivery_that_failed_is_sent_again(client: httpx.AsyncClient, receiver: Receiver) -> None:
    made = await _create(client, receiver.url)
    receiver.answer = status(410)
    sent = (await client.post(f"{_ENDPOINTS}/{made['id']}/test")).json()
    failed = await _until_ended(client, sent["id"])
    path = f"{_DELIVERIES}/{sent['id']}/resend"

    refused = await client.post(path)
    await client.patch(f"{_ENDPOINTS}/{made['id']}", json={"enabled": True})
    receiver.answer = OK
    again = await client.post(path)
    ended = await _until_ended(client, sent["id"])

    assert (failed["state"], failed["last_status"], failed["last_error"]) == (
        "failed",
        410,
        "The receiver answered 410",
    )
    assert (refused.status_code, again.status_code) == (400, 200)
    assert (ended["state"], ended["tries"], [each["status"] for each in ended["last_tries"]]) == (
        "delivered",
        2,
        [200, 410],
    )
    assert len({got.event_id for got in receiver.got}) == 1


async def test_deliveries_are_listed_in_pages_and_by_filters(
    client: httpx.AsyncClient, database: Database, organization: Organization, receiver: Receiver
) -> None:
    made = [await _create(client, receiver.url) for _ in range(2)]
    for subject in "abc":
        await tell(database, organization.id, subject)
    await receiver.until_got(6)

    async def listed(**query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (
            (await client.get(_DELIVERIES, params=query)).raise_for_status().json()["deliveries"]
        )
        return found

    async def all_delivered() -> bool:
        return len(await listed(state="delivered")) == 6

    await until(all_delivered)
    everything = await listed()
    first = (await client.get(_DELIVERIES, params={"limit": 4})).json()
    rest = (await client.get(_DELIVERIES, params={"limit": 4, "after": first["deliveries"][-1]["id"]})).json()

    assert [each["subject"] for each in everything] == ["c", "c", "b", "b", "a", "a"]
    assert first["deliveries"] + rest["deliveries"] == everything
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert {each["endpoint_id"] for each in await listed(endpoint_id=made[0]["id"])} == {made[0]["id"]}
    assert [len(await listed(event_type=kind)) for kind in ("credits.low", "content.failed")] == [6, 0]
    assert [await listed(state=state) for state in ("pending", "failed")] == [[], []]
    for wrong in ({"state": "lost"}, {"limit": 101}, {"after": "x"}, {"after": "00000000-0000-4000-8000-000000000000"}):
        assert (await client.get(_DELIVERIES, params=wrong)).status_code == 400


async def test_a_new_secret_signs_beside_the_former_one(client: httpx.AsyncClient, receiver: Receiver) -> None:
    made = await _create(client, receiver.url)
    path = f"{_ENDPOINTS}/{made['id']}/rotate-secret"

    rotated = (await client.post(path)).raise_for_status().json()
    sent = (await client.post(f"{_ENDPOINTS}/{made['id']}/test")).json()
    await _until_ended(client, sent["id"])
    at_once = (await client.post(path, json={"overlap_hours": 0})).raise_for_status().json()

    (got,) = receiver.got
    for secret in (made["secret"], rotated["secret"]):
        Webhook(secret).verify(got.body, got.headers)
    assert rotated["former_secret_until"]
    assert at_once["former_secret_until"] is None
    assert len({made["secret"], rotated["secret"], at_once["secret"]}) == 3
    assert (await client.post(path, json={"overlap_hours": 169})).status_code == 400


async def test_content_that_ends_is_told_as_its_detail_shows_it(
    client: httpx.AsyncClient, receiver: Receiver, database: Database
) -> None:
    made = await _create(client, receiver.url, events=["content.completed", "content.failed"])
    await factories.price_models(database, "simulator/image--fail")
    for model in ("simulator/image", "simulator/image--fail"):
        ask = {"messages": [{"role": "user", "content": f"Please make {model} of a lighthouse"}]}
        (await client.post("/v1/chat/completions", json=ask)).raise_for_status()

    completed, failed = sorted(await receiver.until_got(2), key=lambda got: got.event["type"])

    for got, kind in ((completed, "content.completed"), (failed, "content.failed")):
        event = Webhook(made["secret"]).verify(got.body, got.headers)
        detail = (await client.get(f"/content/{event['data']['id']}")).json()
        assert (event["type"], event["data"]) == (kind, detail)
    assert (await client.get(completed.event["data"]["storage_url"])).status_code == 200


async def test_credits_that_run_low_are_told(
    client: httpx.AsyncClient, stack: Stack, database: Database, organization: Organization, receiver: Receiver
) -> None:
    await _create(client, receiver.url)
    async with database.transaction() as tx:
        await tx.execute("INSERT INTO credit_alerts (organization_id, threshold) VALUES ($1, 150)", organization.id)

    (got,) = await receiver.until_got(1)

    assert got.event["type"] == "credits.low"
    assert got.event["data"] == {"threshold": 150.0, "available": 100.0, "balance": 100.0, "held": 0.0}


async def test_a_key_of_a_member_manages_no_webhooks(
    stack: Stack, database: Database, organization: Organization, client: httpx.AsyncClient
) -> None:
    key = await factories.make_key(database, organization, "webhooks:manage")
    async with database.transaction() as tx:
        await tx.execute("UPDATE memberships SET role = 'member' WHERE user_id = $1", organization.user_id)

    async def is_refused() -> bool:
        response = await client.get(_ENDPOINTS, headers={"X-API-Key": key})
        return (response.status_code, response.json().get("error", {}).get("code")) == (403, "scope_not_allowed")

    await until(is_refused)
