"""Chat models at other upstreams than the operator's default."""

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host, make_team, price_chat_models
from tests.chat.asking import answer_of, ask, stream, text_of
from tests.chat.books import books_of, charged, cost_of
from tests.chat.upstream import UpstreamLog
from tests.simulator.server import RunningSimulator


@pytest.fixture
def second(second_simulator: RunningSimulator) -> UpstreamLog:
    return UpstreamLog(second_simulator.log)


async def test_a_model_is_called_at_its_upstream_under_the_name_it_has_there(
    tuned: httpx.AsyncClient, database: Database, upstream: UpstreamLog, second: UpstreamLog
) -> None:
    host = await make_host(database, "elsewhere")
    await price_chat_models(database, "elsewhere", upstream="second", upstream_model="its-own-name")

    answer = await answer_of(tuned, host, "count to 2")
    streamed = await stream(tuned, host, "count to 2")

    assert (text_of(answer), streamed.text) == ("1 2", "1 2")
    assert [request["model"] for request in second.requests()] == ["its-own-name"] * 2
    assert upstream.calls() == []
    assert await books_of(database, host) == charged(*(cost_of([call["usage"]]) for call in second.calls()))


async def test_agents_of_one_turn_may_use_different_upstreams(
    tuned: httpx.AsyncClient, database: Database, upstream: UpstreamLog, second: UpstreamLog
) -> None:
    team = await make_team(
        database,
        {"name": "host", "model": "here", "sub_agents": ["poet"]},
        {"name": "poet", "model": "there"},
    )
    await price_chat_models(database, "there", upstream="second")

    await answer_of(tuned, team, "Ask the poet")

    assert [request["model"] for request in upstream.requests()] == ["here", "here"]
    assert [request["model"] for request in second.requests()] == ["there"]


async def test_each_upstream_gets_its_own_key(
    tuned: httpx.AsyncClient, database: Database, second: UpstreamLog
) -> None:
    host = await make_host(database, "forbidden-model")
    await price_chat_models(database, "forbidden-model", upstream="denied")

    response = await ask(tuned, host, "Hello")

    # For the second simulator this key is revoked; the client is not told so.
    assert (response.status_code, response.json()["error"]["code"]) == (502, "provider_error")
    assert "revoked" not in response.text
    assert second.calls() == []


async def test_an_upstream_that_is_not_configured_is_a_502(
    tuned: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "nowhere")
    await price_chat_models(database, "nowhere", upstream="atlantis")

    response = await ask(tuned, host, "Hello")

    assert (response.status_code, response.json()["error"]["code"]) == (502, "provider_error")
    assert "atlantis" in response.json()["error"]["message"]
    assert upstream.calls() == []
    assert (await books_of(database, host)).holds == []
