"""Holds, metering events and ledger entries say for whom and by what they were caused."""

import re

import httpx
import pytest

from app.core.attribution import ATTRIBUTION_COLUMNS
from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, make_team
from tests.chat.asking import CHAT, user
from tests.chat.books import closed_books_of
from tests.chat.turns.rows import rows_of
from tests.vendors_simulator import VendorsSimulator

IMAGE = "simulator/image--output-string"
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
NEW_TRACE = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-00")


async def test_everything_that_a_turn_causes_carries_its_whole_attribution(
    http: httpx.AsyncClient, database: Database, vendors: VendorsSimulator
) -> None:
    team = await make_team(
        database,
        agent("host", "host-model", sub_agents=["poet"], tools=["replicate_generate"]),
        agent("poet", "poet-model"),
    )
    await factories.price_models(database, IMAGE)
    headers = {**team.headers, "X-Request-ID": "our-request", "traceparent": TRACE}
    words = f"Please make {IMAGE} of a quay"

    response = await http.post(CHAT, json={"messages": [user(words)]}, headers=headers)
    await closed_books_of(database, team)

    assert response.status_code == 200
    async with database.transaction() as tx:
        session_id = await tx.fetchval("SELECT id FROM sessions WHERE organization_id = $1", team.id)
        key_id = await tx.fetchval("SELECT id FROM api_keys WHERE organization_id = $1", team.id)
    turn_id = response.json()["id"].replace("cmpl-", "turn-", 1)
    origin = (team.id, team.user_id, key_id, "host", "host-model", session_id, turn_id, "our-request", TRACE)
    rows = await rows_of(database, team)
    turn, generation = rows.holds
    assert attribution_of(turn) == origin
    # A generation has its own model.
    assert attribution_of(generation) == tuple(IMAGE if value == "host-model" else value for value in origin)
    assert {attribution_of(event) for event in rows.events} == {origin, attribution_of(generation)}
    assert {attribution_of(entry) for entry in rows.entries} == {attribution_of(turn), attribution_of(generation)}
    # Nothing is traced here, so nobody else is told of the trace.
    for kind in ("chat", "prediction"):
        assert {entry["traceparent"] for entry in vendors.log(kind)} == {None}


async def test_an_event_has_the_agent_and_model_of_its_call_and_the_times_of_its_answer(
    http: httpx.AsyncClient, database: Database
) -> None:
    team = await make_team(database, agent("host", sub_agents=["poet"]), agent("poet"))

    (await http.post(CHAT, json={"messages": [user("Ask the poet")]}, headers=team.headers)).raise_for_status()

    rows = await rows_of(database, team)
    assert [(event["call_id"].rpartition(":")[2], event["agent"], event["model"]) for event in rows.events] == [
        ("1", "host", "host-model"),
        ("2", "poet", "poet-model"),
        ("3", "host", "host-model"),
    ]
    assert {event["hold_reference"] for event in rows.events} == {rows.holds[0]["reference"]}
    assert rows.holds[0]["calls_opened"] == 3
    for event in rows.events:
        assert event["began_at"] <= event["ended_at"]
    # The host's second call began after the poet's had ended.
    assert rows.events[1]["ended_at"] <= rows.events[2]["began_at"]


@pytest.mark.parametrize("invalid", ["of-our-own", f"{TRACE}-more", TRACE.upper()])
async def test_a_trace_context_that_is_not_valid_is_replaced(
    http: httpx.AsyncClient, database: Database, invalid: str
) -> None:
    team = await make_team(database, agent("host"))
    headers = {**team.headers, "traceparent": invalid}

    (await http.post(CHAT, json={"messages": [user("Hello")]}, headers=headers)).raise_for_status()

    rows = await rows_of(database, team)
    (trace,) = {row["traceparent"] for row in (*rows.holds, *rows.events, *rows.entries)}
    assert NEW_TRACE.fullmatch(trace)


async def test_a_stream_has_the_time_of_its_first_token(http: httpx.AsyncClient, database: Database) -> None:
    team = await make_team(database, agent("host", "sim-chat--slow-0.3"))

    body = {"messages": [user("count to 3")], "stream": True}
    (await http.post(CHAT, json=body, headers=team.headers)).raise_for_status()

    (event,) = (await rows_of(database, team)).events
    assert event["began_at"] < event["first_token_at"] <= event["ended_at"]


def attribution_of(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row[name] for name in ATTRIBUTION_COLUMNS)
