"""A key with a monthly limit spends no more with turns, however many run at once, and what they have generated."""

import asyncio
from decimal import Decimal

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import CHAT, ask
from tests.chat.books import books_of
from tests.chat.upstream import UpstreamLog
from tests.credits.capped import limit_key, spend_of
from tests.faults.books import faults_of


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "one"}])
async def test_what_costs_more_than_is_left_is_refused_before_anything_runs(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, headers: dict[str, str]
) -> None:
    host = await make_host(database)
    await limit_key(database, host, "0.000001")
    body = {"messages": [{"role": "user", "content": "Hello"}]}
    response = await http.post(CHAT, json=body, headers=host.headers | headers)

    error = response.json()["error"]
    assert (response.status_code, error["type"], error["code"]) == (402, "billing_error", "key_cap_reached")
    assert "0.000001 are left until 20" in error["message"]
    assert upstream.calls() == []
    assert (await books_of(database, host)).holds == []


async def test_of_many_turns_at_once_only_those_run_that_fit(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, "sim-chat--hidden-reasoning-5000")
    await limit_key(database, host, "0.01")

    answers = await asyncio.gather(*(ask(http, host, f"count to {number}") for number in range(1, 31)))

    refused = [answer.json()["error"]["code"] for answer in answers if answer.status_code != 200]
    assert set(refused) == {"key_cap_reached"}
    books = await books_of(database, host)
    assert 0 < books.total <= Decimal("0.01")
    assert await spend_of(database, host) == (Decimal(0), books.total)
    assert await faults_of(database, host) == []


async def test_a_generation_counts_when_the_worker_has_ended_it(http: httpx.AsyncClient, database: Database) -> None:
    host = await make_host(database, tools=["replicate_generate"])
    await limit_key(database, host, "1")

    (await ask(http, host, "make simulator/image")).raise_for_status()

    books = await books_of(database, host)
    assert len(books.charges) == 2
    assert await spend_of(database, host) == (Decimal(0), books.total)
