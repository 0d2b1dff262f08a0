"""Responses in the background: accepted, asked for until they have ended, cancelled, deleted."""

import asyncio
import secrets
from functools import partial

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import make_host
from tests.chat.books import NOTHING_CHARGED, Books, books_of, charged, closed_books_of, cost_of, estimate_of
from tests.chat.responses.asking import MODEL, RESPONSES, WEATHER, post, response_of, text_of
from tests.chat.responses.background import accepted, begun_stream, ended, events_of, have_model, resumed, shown
from tests.chat.responses.grammar import check_response
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.rate_limits.making import make_plan
from tests.sessions.conversations import make_colleague
from tests.sessions.reading import messages_of

WORDS = "count to 4"


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


async def cancelled(http: httpx.AsyncClient, organization: Organization, response_id: str) -> httpx.Response:
    return await http.post(f"{RESPONSES}/{response_id}/cancel", headers=organization.headers)


async def test_a_response_is_asked_for_until_it_has_ended(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database)
    begun = await accepted(http, host, WORDS, tools=[WEATHER])

    response = await ended(http, host, begun["id"])

    check_response(response)
    assert (response["status"], text_of(response), response["background"]) == ("completed", "1 2 3 4", True)
    same = ("id", "created_at", "model", "session_id", "tools")
    assert [response[name] for name in same] == [begun[name] for name in same]
    items = await http.get(f"{RESPONSES}/{begun['id']}/input_items", headers=host.headers)
    assert items.json()["data"][0]["content"] == [{"type": "input_text", "text": WORDS}]
    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))
    assert await messages_of(http, host, response["session_id"]) == [("user", WORDS), ("assistant", "1 2 3 4")]


async def test_one_that_runs_is_shown_and_not_gone_on_from(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--stall-0")
    begun = await accepted(http, host, WORDS)

    found = await shown(http, host, begun["id"])
    items = await http.get(f"{RESPONSES}/{begun['id']}/input_items", headers=host.headers)
    refused = await post(http, host, "Hello", previous_response_id=begun["id"])

    check_response(found)
    assert (begun["status"], begun["output"], begun["usage"]) == ("queued", [], None)
    assert found["status"] in {"queued", "in_progress"}
    assert len(items.json()["data"]) == 1
    assert refused.json()["error"]["code"] == "previous_response_not_found"
    await cancelled(http, host, begun["id"])


async def test_a_response_goes_on_in_the_background_from_another(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    first = await response_of(http, host, "one")

    second = await ended(http, host, (await accepted(http, host, "two", previous_response_id=first["id"]))["id"])
    third = await response_of(http, host, "three", previous_response_id=second["id"])

    assert first["session_id"] == second["session_id"] == third["session_id"]
    sent = [each["content"] for each in upstream.requests()[-1]["messages"] if each["role"] == "user"]
    assert sent == ["one", "two", "three"]


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_failure_is_shown_and_told(http: httpx.AsyncClient, database: Database, is_streamed: bool) -> None:
    host = await make_host(database, "sim-chat--error-frame-0" if is_streamed else "sim-chat--status-400")
    response_id = await begun_stream(http, host, WORDS) if is_streamed else (await accepted(http, host, WORDS))["id"]

    response = await ended(http, host, response_id)

    check_response(response)
    assert (response["status"], response["output"]) == ("failed", [])
    assert response["error"]["code"] == "server_error"
    assert await closed_books_of(database, host) == NOTHING_CHARGED
    again = await cancelled(http, host, response_id)
    assert again.json() == response


async def test_a_cancelled_response_ends_and_costs_what_was_delivered(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    response_id = await begun_stream(http, host, WORDS, until=b'"2 "')

    first = await cancelled(http, host, response_id)
    second = await cancelled(http, host, response_id)
    stream = await resumed(http, host, response_id)

    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    assert first.json() == second.json() == await shown(http, host, response_id)
    last = events_of(stream.content)[-1]
    assert b"event: response.incomplete" in last
    assert b'"status":"cancelled"' in last
    cost = estimate_of(upstream.requests()[0], "1 2 ")
    assert await closed_books_of(database, host) == Books([cost], [True], ["settled"])
    assert await messages_of(http, host, first.json()["session_id"]) == [("user", WORDS), ("assistant", "1 2 ")]


async def test_one_that_has_ended_is_not_cancelled_any_more(http: httpx.AsyncClient, host: Organization) -> None:
    response = await ended(http, host, (await accepted(http, host, WORDS))["id"])

    assert (await cancelled(http, host, response["id"])).json() == response
    assert (await cancelled(http, host, "resp_unknown")).status_code == 404


async def test_a_deleted_response_ends(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    response_id = await begun_stream(http, host, WORDS, until=b'"2 "')

    deleted = await http.delete(f"{RESPONSES}/{response_id}", headers=host.headers)

    assert deleted.json() == {"id": response_id, "object": "response", "deleted": True}
    assert (await http.get(f"{RESPONSES}/{response_id}", headers=host.headers)).status_code == 404
    assert (await closed_books_of(database, host)).holds == ["settled"]
    assert (await http.delete(f"{RESPONSES}/{response_id}", headers=host.headers)).status_code == 404


async def test_one_that_has_ended_is_deleted_with_its_events(http: httpx.AsyncClient, host: Organization) -> None:
    response_id = await begun_stream(http, host, WORDS)
    await ended(http, host, response_id)

    await http.delete(f"{RESPONSES}/{response_id}", headers=host.headers)

    assert (await http.get(f"{RESPONSES}/{response_id}", headers=host.headers)).status_code == 404
    assert (await resumed(http, host, response_id)).status_code == 404


async def test_others_have_no_such_response(http: httpx.AsyncClient, database: Database, host: Organization) -> None:
    response_id = await begun_stream(http, host, WORDS)
    for stranger in (await make_host(database), await make_colleague(database, host)):
        headers = stranger.headers
        for suffix in ("", "/input_items", "?stream=true"):
            assert (await http.get(f"{RESPONSES}/{response_id}{suffix}", headers=headers)).status_code == 404
        assert (await cancelled(http, stranger, response_id)).status_code == 404
        assert (await http.delete(f"{RESPONSES}/{response_id}", headers=headers)).status_code == 404

    assert (await ended(http, host, response_id))["status"] == "completed"


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_refused_request_leaves_nothing(http: httpx.AsyncClient, database: Database, is_streamed: bool) -> None:
    host = await make_host(database)
    asked = {"background": True, "stream": is_streamed}

    answers = [
        await post(http, host, WORDS, **asked, store=False),
        await post(http, host, WORDS, **asked, previous_response_id="resp_unknown"),
        await post(http, host, WORDS, **asked, session_id="unknown"),
        await post(http, await make_host(database, credit="0.000001"), WORDS, **asked),
    ]

    assert [answer.status_code for answer in answers] == [400, 404, 404, 402]
    assert answers[0].json()["error"]["param"] == "background"
    assert (await books_of(database, host)).holds == []
    async with database.transaction() as tx:
        assert not await tx.fetch("SELECT FROM response_runs WHERE organization_id = $1", host.id)


async def test_a_repeated_request_is_accepted_once(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    body = {"model": MODEL, "input": WORDS, "background": True}
    first = await http.post(RESPONSES, json=body, headers=headers)
    response = await ended(http, host, first.json()["id"])

    second = await http.post(RESPONSES, json=body, headers=headers)
    other = await http.post(RESPONSES, json={**body, "input": "other"}, headers=headers)

    assert second.json() == response
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert len(upstream.calls()) == 1


async def test_a_repeated_stream_is_the_same_stream(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    body = {"model": MODEL, "input": WORDS, "background": True, "stream": True}

    first, second = await asyncio.gather(*(http.post(RESPONSES, json=body, headers=headers) for _ in range(2)))

    assert events_of(first.content) == events_of(second.content)
    assert len(upstream.calls()) == 1


async def test_responses_in_the_background_count_among_those_that_run_at_once(
    http: httpx.AsyncClient, database: Database
) -> None:
    plan = await make_plan(database, concurrent=1)
    host = await factories.make_organization(database, plan=plan)
    await have_model(database, host, "sim-chat--stall-0")
    begun = await accepted(http, host, WORDS)

    refused = await post(http, host, WORDS, background=True)

    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "concurrency_limit_exceeded")
    await cancelled(http, host, begun["id"])
    await closed_books_of(database, host)


async def test_one_that_runs_is_asked_for_and_ended_while_no_other_may_run(
    http: httpx.AsyncClient, database: Database
) -> None:
    host = await factories.make_organization(database, plan=await make_plan(database, concurrent=1))
    await have_model(database, host, "sim-chat--stall-0")
    response_id = await begun_stream(http, host, WORDS)
    path = f"{RESPONSES}/{response_id}"

    async with http.stream("GET", path, params={"stream": "true"}, headers=host.headers) as stream:
        assert (await shown(http, host, response_id))["status"] == "in_progress"
        second = [await http.get(f"{path}/input_items", headers=host.headers), await cancelled(http, host, response_id)]
        rest = await stream.aread()
    deleted = await http.delete(path, headers=host.headers)

    assert [each.status_code for each in (stream, *second, deleted)] == [200] * 4
    assert events_of(rest)[-1].startswith(b"event: response.incomplete")
    await closed_books_of(database, host)


async def test_streams_of_one_that_runs_are_limited_too(http: httpx.AsyncClient, database: Database) -> None:
    host = await factories.make_organization(database, plan=await make_plan(database, concurrent=1))
    await have_model(database, host, "sim-chat--stall-0")
    response_id = await begun_stream(http, host, WORDS)
    read = partial(http.stream, "GET", f"{RESPONSES}/{response_id}", params={"stream": "true"}, headers=host.headers)

    async with read() as first, read() as second, read() as third:
        statuses = [each.status_code for each in (first, second, third)]

    assert statuses == [200, 200, 429]
    await cancelled(http, host, response_id)
    await closed_books_of(database, host)
