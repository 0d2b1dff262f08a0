"""Responses that are kept: read again, deleted, and gone on from."""

import asyncio
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.responses.asking import (
    MODEL,
    RESPONSES,
    WEATHER,
    calls_in,
    output,
    post,
    response_of,
    stream,
    text_of,
)
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.conversations import make_colleague


@pytest.fixture(scope="module")
async def host(database: Database) -> Organization:
    return await make_host(database)


def said(upstream: UpstreamLog) -> list[Any]:
    """What the model was sent last, without what it has said itself."""
    return [each["content"] for each in upstream.requests()[-1]["messages"] if each["role"] != "assistant"]


async def got(http: httpx.AsyncClient, organization: Organization, path: str, **query: Any) -> httpx.Response:
    return await http.get(f"{RESPONSES}/{path}", params=query, headers=organization.headers)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_response_is_read_again_as_it_was_shown(
    http: httpx.AsyncClient, host: Organization, is_streamed: bool
) -> None:
    words = 'first say "one moment", then get weather'
    if is_streamed:
        shown = (await stream(http, host, words, tools=[WEATHER])).response
    else:
        shown = await response_of(http, host, words, tools=[WEATHER])

    kept = await got(http, host, shown["id"])

    assert shown["store"] is True
    assert kept.json() == shown


async def test_one_with_generations_is_kept_with_them(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    shown = await response_of(http, host, "make simulator/text")

    kept = await got(http, host, shown["id"])

    assert kept.json() == shown
    assert kept.json()["generated_content"]


async def test_a_deleted_response_is_gone(http: httpx.AsyncClient, host: Organization) -> None:
    shown = await response_of(http, host, "Hello")
    path = f"{RESPONSES}/{shown['id']}"

    deleted = await http.delete(path, headers=host.headers)

    assert deleted.json() == {"id": shown["id"], "object": "response", "deleted": True}
    assert (await http.delete(path, headers=host.headers)).status_code == 404
    assert (await http.get(path, headers=host.headers)).json()["error"]["code"] == "response_not_found"
    refused = await post(http, host, "Hello", previous_response_id=shown["id"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "previous_response_not_found")
    assert refused.json()["error"]["param"] == "previous_response_id"


async def test_others_have_no_such_response(http: httpx.AsyncClient, database: Database, host: Organization) -> None:
    shown = await response_of(http, host, "Hello", tools=[WEATHER])
    other = await make_host(database)
    colleague = await make_colleague(database, host)

    for stranger in (other, colleague):
        for suffix in ("", "/input_items"):
            assert (await got(http, stranger, shown["id"] + suffix)).status_code == 404
        assert (await http.delete(f"{RESPONSES}/{shown['id']}", headers=stranger.headers)).status_code == 404
        refused = await post(http, stranger, "Hello", previous_response_id=shown["id"])
        assert refused.json()["error"]["code"] == "previous_response_not_found"
        item = {"type": "item_reference", "id": shown["output"][0]["id"]}
        assert (await post(http, stranger, [item])).json()["error"]["code"] == "item_not_found"
    assert (await got(http, host, shown["id"])).status_code == 200


async def test_a_response_goes_on_in_its_session_without_the_instructions(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    first = await response_of(http, host, "one", instructions="Be brief.")
    second = await response_of(http, host, "two", previous_response_id=first["id"])
    third = await response_of(http, host, "three", previous_response_id=second["id"], instructions="Be long.")

    assert said(upstream) == ["Be long.", "one", "two", "three"]
    assert first["session_id"] == second["session_id"] == third["session_id"]
    assert (third["previous_response_id"], third["instructions"]) == (second["id"], "Be long.")


async def test_an_older_response_goes_on_in_a_session_of_its_own(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    first = await response_of(http, host, "one")
    second = await response_of(http, host, "two", previous_response_id=first["id"])

    fork = await response_of(http, host, "three", previous_response_id=first["id"])
    assert said(upstream) == ["one", "three"]
    await response_of(http, host, "four", previous_response_id=fork["id"])
    assert said(upstream) == ["one", "three", "four"]
    await response_of(http, host, "five", previous_response_id=second["id"])
    assert said(upstream) == ["one", "two", "five"]
    assert fork["session_id"] != first["session_id"]
    listed = (await http.get(f"/sessions/{fork['session_id']}/messages", headers=host.headers)).json()
    assert [message["role"] for message in listed["messages"]] == ["user", "assistant"] * 3


async def test_what_a_chat_has_replaced_since_is_there_again(
    http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog
) -> None:
    first = await response_of(http, host, "one")
    second = await response_of(http, host, "two", previous_response_id=first["id"])
    edited = [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": text_of(first)},
        {"role": "user", "content": "other"},
    ]
    body = {"messages": edited, "session_id": first["session_id"]}
    (await http.post("/v1/chat/completions", json=body, headers=host.headers)).raise_for_status()

    await response_of(http, host, "three", previous_response_id=second["id"])

    assert said(upstream) == ["one", "two", "three"]


async def test_two_at_once_go_on_from_one_response(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database)
    first = await response_of(http, host, "one")

    answers = await asyncio.gather(
        *(response_of(http, host, "count to 30", previous_response_id=first["id"]) for _ in range(4))
    )

    assert len({answer["session_id"] for answer in answers}) == 4
    assert {text_of(answer) for answer in answers} == {text_of(answers[0])}


async def test_calls_are_answered_after_a_previous_response(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--reasoning-details")
    first = await response_of(http, host, "get weather", tools=[WEATHER])

    second = await response_of(
        http, host, [output(calls_in(first)[0], "rain")], tools=[WEATHER], previous_response_id=first["id"]
    )

    assert "rain" in text_of(second)


@pytest.mark.parametrize("fault", ["reasoning-details", "thought-signatures"])
@pytest.mark.parametrize("is_reference", [True, False])
async def test_calls_that_are_sent_back_have_what_the_model_needs(
    http: httpx.AsyncClient, database: Database, fault: str, is_reference: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")
    question = {"role": "user", "content": "get weather"}
    first = await response_of(http, host, [question], tools=[WEATHER])
    (call,) = calls_in(first)
    sent = {"type": "item_reference", "id": call["id"]} if is_reference else call

    second = await response_of(http, host, [question, sent, output(call, "rain")], tools=[WEATHER])

    assert "rain" in text_of(second)


async def test_the_items_of_a_request_are_listed(http: httpx.AsyncClient, host: Organization) -> None:
    items = [{"role": "user", "content": word} for word in ("one", "two", "three")]
    shown = await response_of(http, host, items)
    of_text = await response_of(http, host, "Hello")

    newest = (await got(http, host, f"{shown['id']}/input_items", limit=2)).json()
    rest = (await got(http, host, f"{shown['id']}/input_items", limit=2, after=newest["last_id"])).json()
    oldest = (await got(http, host, f"{shown['id']}/input_items", order="asc")).json()

    assert [item["content"] for item in newest["data"]] == ["three", "two"]
    assert (newest["has_more"], rest["has_more"]) == (True, False)
    assert [item["content"] for item in rest["data"]] == ["one"]
    assert oldest["data"] == [*rest["data"], *reversed(newest["data"])]
    (item,) = (await got(http, host, f"{of_text['id']}/input_items")).json()["data"]
    assert item["content"] == [{"type": "input_text", "text": "Hello"}]
    refused = await got(http, host, f"{shown['id']}/input_items", after="nothing")
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "after")


async def test_a_response_that_is_not_in_the_background_is_not_cancelled(
    http: httpx.AsyncClient, host: Organization
) -> None:
    shown = await response_of(http, host, "Hello")

    refused = await http.post(f"{RESPONSES}/{shown['id']}/cancel", headers=host.headers)
    unknown = await http.post(f"{RESPONSES}/resp_unknown/cancel", headers=host.headers)

    assert (refused.status_code, unknown.status_code) == (400, 404)


async def test_a_conversation_is_a_session(http: httpx.AsyncClient, host: Organization, upstream: UpstreamLog) -> None:
    first = await response_of(http, host, "one")
    name = first["session_id"]

    second = await response_of(http, host, "two", conversation=name)
    third = await response_of(http, host, "three", conversation={"id": name})
    await response_of(http, host, "four", session_id=name)

    assert said(upstream) == ["one", "two", "three", "four"]
    assert second["conversation"] == third["conversation"] == {"id": name}
    assert (await post(http, host, "Hello", conversation="unknown")).json()["error"]["code"] == "session_not_found"


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"previous_response_id": "resp_a", "session_id": "a"}, "session_id"),
        ({"previous_response_id": "resp_a", "conversation": {"id": "a"}}, "conversation"),
        ({"conversation": "a", "session_id": "a"}, "session_id"),
        ({"store": False, "session_id": "a"}, "store"),
        ({"store": False, "conversation": "a"}, "store"),
    ],
)
async def test_only_one_thing_says_what_comes_before(
    http: httpx.AsyncClient, host: Organization, body: dict[str, Any], param: str
) -> None:
    refused = await post(http, host, "Hello", **body)

    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize("has_key", [True, False])
async def test_nothing_is_kept_that_is_not_to_be_stored(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, has_key: bool
) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    first = await response_of(http, host, "one")
    headers = {**host.headers, **({"Idempotency-Key": f"key of {host.id}"} if has_key else {})}

    for number, words in enumerate(("two", "make simulator/text")):
        body = {"model": MODEL, "input": words, "store": False, "previous_response_id": first["id"]}
        key = {"Idempotency-Key": f"{headers['Idempotency-Key']} {number}"} if has_key else {}
        answer = await http.post(RESPONSES, json=body, headers={**headers, **key})
        response = answer.raise_for_status().json()
        assert (response["store"], response["session_id"]) == (False, None)
        assert "x-session-id" not in answer.headers
        assert (await got(http, host, response["id"])).status_code == 404
    await response_of(http, host, "three", store=False)

    async with database.transaction() as tx:
        sessions = await tx.fetch("SELECT message_count, turn_id FROM sessions WHERE organization_id = $1", host.id)
        messages = await tx.fetchval(
            "SELECT count(*) FROM messages m JOIN sessions s ON s.id = m.session_id WHERE s.organization_id = $1",
            host.id,
        )
        charged = await tx.fetchval(
            "SELECT count(*) FROM ledger_entries WHERE organization_id = $1 AND kind = 'charge'", host.id
        )
        held = await tx.fetchval("SELECT held FROM credit_accounts WHERE organization_id = $1", host.id)
    assert [tuple(session) for session in sessions] == [(2, None)]
    assert (messages, held) == (2, 0)
    # Four turns and a generation.
    assert charged == 5
    assert said(upstream) == ["three"]
    assert upstream.requests()[1]["messages"][0]["content"] == "one"


async def test_a_repeated_request_goes_on_once(http: httpx.AsyncClient, host: Organization) -> None:
    first = await response_of(http, host, "one")
    body = {"model": MODEL, "input": "two", "previous_response_id": first["id"]}
    headers = {**host.headers, "Idempotency-Key": first["id"]}

    answers = [(await http.post(RESPONSES, json=body, headers=headers)).json() for _ in range(2)]

    assert answers[0] == answers[1]
    assert (await got(http, host, answers[0]["id"])).json() == answers[0]


async def test_a_response_goes_with_its_session(
    http: httpx.AsyncClient, database: Database, host: Organization
) -> None:
    shown = await response_of(http, host, "Hello")
    async with database.transaction() as tx:
        await tx.execute(
            "DELETE FROM sessions WHERE organization_id = $1 AND public_id = $2", host.id, shown["session_id"]
        )

    assert (await got(http, host, shown["id"])).status_code == 404
