"""Which failed turns SDKs may retry by themselves: those that have not begun, but none that may have run."""

import asyncio

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import agent, container, make_team
from tests.chat.asking import ask, ask_to_stream
from tests.chat.books import NOTHING_CHARGED, books_of, charged, closed_books_of, cost_of
from tests.chat.conftest import HeldApi
from tests.chat.locks import admitted, cut_off, locked_account
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization


def check_unavailable(response: httpx.Response, *, may_repeat: bool) -> None:
    assert (response.status_code, response.json()["error"]["code"]) == (503, "service_unavailable")
    assert response.headers.get("x-should-retry") == (None if may_repeat else "false")


async def chain(database: Database, *models: str) -> Organization:
    """An organization whose orchestrator runs an agent on each of these models in turn."""
    names = [f"agent-{number}" for number in range(len(models))]
    team = [agent(name, model) for name, model in zip(names, models, strict=True)]
    return await make_team(database, container("SEQUENTIAL", *names), *team)


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_turn_that_loses_postgres_between_two_calls_must_not_be_retried(
    held: HeldApi, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    team = await chain(database, "first-model", "second-model")
    held.chat_models.hold_next()
    asking = asyncio.create_task((ask_to_stream if is_streamed else ask)(held.http, team, "Hello"))
    await held.chat_models.wait_until_held()

    async with locked_account(database, team):
        held.chat_models.let_pass()
        # The second call cannot be opened.
        await cut_off(database)

    check_unavailable(await asking, may_repeat=False)
    (call,) = upstream.calls()
    assert call["model"] == "first-model"
    assert await closed_books_of(database, team) == charged(cost_of([call["usage"]]))


async def test_a_turn_that_loses_postgres_before_its_first_call_may_be_retried(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    team = await chain(database, "first-model", "second-model")

    async with admitted(database, team, ask(http, team, "Hello")) as asking:
        await cut_off(database)

    check_unavailable(await asking, may_repeat=True)
    assert upstream.calls() == []
    assert await closed_books_of(database, team) == NOTHING_CHARGED


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_turn_that_is_throttled_in_the_middle_must_not_be_retried(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    team = await chain(database, "first-model", "sim-chat--status-429-7")

    response = await (ask_to_stream if is_streamed else ask)(http, team, "Hello")

    assert (response.status_code, response.json()["error"]["code"]) == (429, "provider_rate_limited")
    assert (response.headers["retry-after"], response.headers["x-should-retry"]) == ("7", "false")
    (call,) = upstream.calls("first-model")
    assert call["outcome"] == "finished"
    assert await books_of(database, team) == charged(cost_of([call["usage"]]))


async def test_a_turn_that_is_throttled_at_its_first_call_may_be_retried(
    http: httpx.AsyncClient, database: Database
) -> None:
    team = await chain(database, "sim-chat--status-429-7", "second-model")

    response = await ask(http, team, "Hello")

    assert (response.status_code, response.headers["retry-after"]) == (429, "7")
    assert "x-should-retry" not in response.headers
