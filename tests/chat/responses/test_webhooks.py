"""Endpoints are told of responses that are kept: once each, with what reading them shows."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest

from app.core.database import Database
from app.kept_responses import service as kept_responses
from app.kept_responses.keeping import Keeping
from tests.agents.definitions import make_host
from tests.chat.asking import ask
from tests.chat.responses.asking import RESPONSES, WEATHER, response_of, stream
from tests.chat.responses.background import accepted, ended, have_model
from tests.chat.turns.batches import admitted
from tests.factories import Organization

_COMPLETED, _INCOMPLETE, _FAILED = "response.completed", "response.incomplete", "response.failed"


@pytest.fixture
async def host(database: Database) -> Organization:
    return await make_host(database)


async def _endpoint(http: httpx.AsyncClient, host: Organization, *events: str, enabled: bool = True) -> str:
    body = {"url": "http://127.0.0.1:9/nobody", "events": events}
    made = (await http.post("/webhooks/endpoints", json=body, headers=host.headers)).raise_for_status().json()
    path = f"/webhooks/endpoints/{made['id']}"
    (await http.patch(path, json={"enabled": enabled}, headers=host.headers)).raise_for_status()
    return str(made["id"])


async def _told(http: httpx.AsyncClient, host: Organization) -> Sequence[dict[str, Any]]:
    """The deliveries of the organization in full, the newest first."""
    found = (await http.get("/webhooks/deliveries", headers=host.headers)).raise_for_status().json()["deliveries"]
    paths = [f"/webhooks/deliveries/{each['id']}" for each in found]
    return [(await http.get(path, headers=host.headers)).raise_for_status().json() for path in paths]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_an_event_has_what_reading_the_response_shows(
    http: httpx.AsyncClient, host: Organization, is_streamed: bool
) -> None:
    endpoint_id = await _endpoint(http, host, _COMPLETED)

    words = 'say "an é, a \\" and a \\\\", then get weather'
    if is_streamed:
        shown = (await stream(http, host, words, tools=[WEATHER])).response
    else:
        shown = await response_of(http, host, words, tools=[WEATHER])

    (delivery,) = await _told(http, host)
    body = delivery["body"]
    assert (delivery["endpoint_id"], delivery["event_type"]) == (endpoint_id, _COMPLETED)
    assert delivery["subject"] == shown["id"]
    assert (list(body), body["type"]) == (["type", "timestamp", "data"], _COMPLETED)
    kept = (await http.get(f"{RESPONSES}/{shown['id']}", headers=host.headers)).content
    assert orjson.dumps(body["data"]) == orjson.dumps(orjson.loads(kept))
    happened = datetime.strptime(body["timestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - happened) < timedelta(minutes=2)


async def test_endpoints_are_told_once_how_one_in_the_background_has_ended(
    http: httpx.AsyncClient, database: Database
) -> None:
    host = await make_host(database, "sim-chat--status-402")
    await _endpoint(http, host, _COMPLETED, _FAILED)
    failed = await ended(http, host, (await accepted(http, host, "Hello"))["id"])
    await have_model(database, host, "sim-chat")
    completed = await ended(http, host, (await accepted(http, host, "Hello"))["id"])

    told = [(each["subject"], each["event_type"], each["body"]["data"]) for each in await _told(http, host)]

    assert told == [(completed["id"], _COMPLETED, completed), (failed["id"], _FAILED, failed)]


async def test_one_that_is_cut_off_is_another_event(http: httpx.AsyncClient, host: Organization) -> None:
    only_whole = await _endpoint(http, host, _COMPLETED)
    both = await _endpoint(http, host, _COMPLETED, _INCOMPLETE)

    cut = await response_of(http, host, "Count to 100", max_output_tokens=16)
    whole = await response_of(http, host, "Hello")

    assert (cut["status"], whole["status"]) == ("incomplete", "completed")
    told = {(each["endpoint_id"], each["subject"], each["event_type"]) for each in await _told(http, host)}
    assert told == {
        (both, cut["id"], _INCOMPLETE),
        (both, whole["id"], _COMPLETED),
        (only_whole, whole["id"], _COMPLETED),
    }


async def test_those_that_end_together_are_told_one_by_one(http: httpx.AsyncClient, host: Organization) -> None:
    await _endpoint(http, host, _COMPLETED)

    shown = await asyncio.gather(*(response_of(http, host, f"Hello {number}") for number in range(8)))

    told = await _told(http, host)
    assert sorted(each["subject"] for each in told) == sorted(each["id"] for each in shown)
    assert len({each["event_id"] for each in told}) == 8


async def test_one_with_generations_is_told_with_them(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    await _endpoint(http, host, _COMPLETED)

    shown = await response_of(http, host, "make simulator/text")

    (delivery,) = await _told(http, host)
    assert delivery["body"]["data"] == shown
    assert shown["generated_content"]


async def test_a_repetition_is_not_told_again(http: httpx.AsyncClient, host: Organization) -> None:
    await _endpoint(http, host, _COMPLETED)
    headers = {**host.headers, "Idempotency-Key": "once"}
    body = {"model": "junis-orchestrator", "input": "Hello"}

    first, second = [(await http.post(RESPONSES, json=body, headers=headers)).raise_for_status() for _ in range(2)]

    assert first.json() == second.json()
    assert [each["subject"] for each in await _told(http, host)] == [first.json()["id"]]


async def test_an_end_that_is_written_twice_is_told_once(
    http: httpx.AsyncClient, database: Database, host: Organization
) -> None:
    await _endpoint(http, host, _COMPLETED)
    (session,) = await admitted(database, host)
    shown = {"id": f"resp_{session.turn_id}", "status": "completed"}
    keeping = Keeping(shown["id"], shown, [], None)

    for _ in range(2):
        async with database.transaction() as tx:
            await kept_responses.keep(tx, (host.id, host.user_id), session, keeping)

    assert [each["body"]["data"] for each in await _told(http, host)] == [shown]


async def test_nobody_is_told_of_others(http: httpx.AsyncClient, database: Database, host: Organization) -> None:
    neighbour = await make_host(database)
    await _endpoint(http, neighbour, _COMPLETED)
    await _endpoint(http, host, "credits.low")
    await _endpoint(http, host, _COMPLETED, enabled=False)

    await response_of(http, host, "Hello")
    await _endpoint(http, host, _COMPLETED)
    await response_of(http, host, "Hello", store=False)
    await ask(http, host, "Hello")

    assert await _told(http, host) == await _told(http, neighbour) == []
