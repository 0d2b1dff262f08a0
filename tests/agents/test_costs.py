"""Credits of a whole tree of agents: the hold is topped up before each call, and each finished call is charged."""

from decimal import Decimal
from typing import Any

import httpx
import pytest

from app.core.database import Database
from tests import factories
from tests.agents.definitions import agent, container, make_team, price_chat_models
from tests.chat.asking import answer_of, ask, ask_to_stream, conversation, stream
from tests.chat.books import NOTHING_CHARGED, books_of, charged, cost_of
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.sessions.reading import messages_of

# The longest answer of a model at 2 credits a million tokens costs 0.002; of the dear one, ten thousand times that.
DEAR = {"name": "poet", "model": "dear-model"}
HOST = {"name": "host", "model": "host-model", "sub_agents": ["poet"]}
ENOUGH_FOR_ONE = "0.005"


async def make_dear_team(database: Database, *agents: dict[str, Any], credit: str) -> Organization:
    team = await make_team(database, *agents, credit=credit)
    await price_chat_models(database, "dear-model", completion_price=Decimal(20_000))
    return team


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_turn_without_credits_is_refused_before_anything_runs(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    poor = await make_team(database, HOST, {"name": "poet"}, credit="0.001")

    response = await (ask_to_stream if is_streamed else ask)(http, poor, "Hello")

    assert response.status_code == 402
    error = response.json()["error"]
    assert (error["type"], error["code"]) == ("billing_error", "insufficient_credits")
    assert upstream.calls() == []
    assert (await books_of(database, poor)).holds == []


async def test_a_container_without_credits_is_refused_before_its_first_call(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    poor = await make_team(database, container("SEQUENTIAL", "poet"), {"name": "poet"}, credit="0.001")

    response = await ask(http, poor, "Hello")

    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_credits")
    assert upstream.calls() == []
    assert await books_of(database, poor) == NOTHING_CHARGED


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_turn_that_cannot_pay_its_next_call_ends_and_is_charged_for_the_finished_ones(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    team = await make_dear_team(database, HOST, DEAR, credit=ENOUGH_FOR_ONE)

    response = await (ask_to_stream if is_streamed else ask)(http, team, "Ask the poet", **conversation("ours"))

    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_credits")
    (call,) = upstream.calls()
    assert call["model"] == "host-model"
    assert await books_of(database, team) == charged(cost_of([call["usage"]]))
    assert await messages_of(http, team, "ours") == [("user", "Ask the poet"), ("assistant", None)]


async def test_a_refusal_after_the_first_words_is_an_error_frame(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_dear_team(database, HOST, DEAR, credit=ENOUGH_FOR_ONE)

    streamed = await stream(http, team, 'First say "one moment" and ask the poet', **conversation("ours"))

    assert streamed.text == "one moment"
    assert streamed.error is not None
    assert (streamed.error["type"], streamed.error["code"]) == ("billing_error", "insufficient_credits")
    assert await books_of(database, team) == charged(cost_of([upstream.calls()[0]["usage"]]))
    assert (await messages_of(http, team, "ours"))[1] == ("assistant", "one moment")


async def test_a_parallel_call_that_cannot_be_paid_ends_the_turn(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    both = container("PARALLEL", "cheap", "poet")
    team = await make_dear_team(database, both, agent("cheap"), DEAR, credit=ENOUGH_FOR_ONE)

    response = await ask(http, team, "count to 2")

    assert (response.status_code, response.json()["error"]["code"]) == (402, "insufficient_credits")
    (call,) = await upstream.ended("cheap-model")
    assert await books_of(database, team) == charged(cost_of([call["usage"]]))


async def test_credits_that_were_topped_up_but_not_used_are_released(
    http: httpx.AsyncClient, database: Database
) -> None:
    team = await make_dear_team(database, HOST, DEAR, credit="30")

    await answer_of(http, team, "Ask the poet")

    balance = await factories.balance_of(database, team)
    async with database.transaction() as tx:
        held = await tx.fetchval("SELECT amount FROM credit_holds WHERE organization_id = $1", team.id)
    assert held > 20
    assert balance.held == 0
    assert balance.balance == 30 - (await books_of(database, team)).total


async def test_the_hold_covers_every_parallel_call(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    names = [f"agent-{number}" for number in range(5)]
    slow = [agent(name, "sim-chat--slow-0.3") for name in names]
    team = await make_team(database, container("PARALLEL", *names), *slow)

    await answer_of(http, team, "count to 2")

    async with database.transaction() as tx:
        held = await tx.fetchval("SELECT amount FROM credit_holds WHERE organization_id = $1", team.id)
    assert held > 5 * Decimal("0.002")
    assert await books_of(database, team) == charged(cost_of(call["usage"] for call in upstream.calls()))


async def test_a_model_without_a_price_is_refused(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, HOST, {"name": "poet", "model": "sim-chat"})
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET model = 'unheard-of' WHERE organization_id = $1 AND name = 'poet'", team.id)

    response = await ask(http, team, "Hello")

    assert (response.status_code, response.json()["error"]["code"]) == (502, "model_not_priced")
    assert "junis catalog price unheard-of --prompt … --completion …" in response.json()["error"]["message"]
    assert upstream.calls() == []
    assert (await books_of(database, team)).holds == []
