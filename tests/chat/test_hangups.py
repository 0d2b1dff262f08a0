"""Clients that leave: the model call ends, the slot is freed, what was delivered is charged and remembered."""

import asyncio

import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import answer_of, asked, conversation, opened_stream, text_of
from tests.chat.books import NOTHING_CHARGED, books_of, charged, closed_books_of, estimate_of
from tests.chat.leaving import check_ended_by_us, is_free
from tests.chat.locks import until_waiting
from tests.chat.openai.grammar import read_stream
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.patient import patient_transaction
from tests.sessions.reading import messages_of
from tests.waiting import until

WORDS = "count to 4"
ANSWER = "1 2 3 4"


async def leave_after(http: httpx.AsyncClient, host: Organization, text: str) -> None:
    """Read a stream until this text has arrived, and hang up."""
    last_word = f'"{text.rsplit(maxsplit=1)[-1]} "'.encode() if text else b'"role"'
    async with opened_stream(http, host, WORDS, **conversation("ours")) as opened:
        await opened.read(until=last_word)
        assert read_stream(opened.response, opened.raw, is_cut=True).text == text


@pytest.mark.parametrize("count", [1, 2, 3])
async def test_leaving_a_stream_ends_the_model_call(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, redis: Redis, count: int
) -> None:
    host = await make_host(database, f"sim-chat--stall-{count}")
    delivered = ANSWER[: 2 * count]

    await leave_after(http, host, delivered)

    await check_ended_by_us(upstream)
    estimate = estimate_of(upstream.the_request(), delivered)
    assert await closed_books_of(database, host) == charged(estimate, is_estimated=True)
    await until(lambda: is_free(redis, host))
    assert await messages_of(http, host, "ours") == [("user", WORDS), ("assistant", delivered)]


@pytest.mark.parametrize("fault", ["stall-0", "first-token-slow-30", "slow-30"])
@pytest.mark.parametrize("is_streamed", [True, False])
async def test_leaving_before_the_first_word_costs_nothing(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, redis: Redis, fault: str, is_streamed: bool
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")
    async with asked(http, host, WORDS, stream=is_streamed, **conversation("ours")):
        await upstream.begun()

    await check_ended_by_us(upstream)
    assert await closed_books_of(database, host) == NOTHING_CHARGED
    await until(lambda: is_free(redis, host))
    assert await messages_of(http, host, "ours") == [("user", WORDS)]


async def test_leaving_a_stream_that_has_begun_without_a_word_costs_nothing(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-0")

    await leave_after(http, host, "")

    await check_ended_by_us(upstream)
    assert await closed_books_of(database, host) == NOTHING_CHARGED


async def test_the_session_goes_on_where_the_client_left(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    await leave_after(http, host, "1 2 ")
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET model = 'sim-chat' WHERE organization_id = $1", host.id)

    answer = await answer_of(http, host, "count to 2", session_id="ours")

    assert text_of(answer) == "1 2"
    contents = [message["content"] for message in upstream.requests()[-1]["messages"]]
    assert contents == [WORDS, "1 2 ", "count to 2"]


@pytest.mark.parametrize("fault", ["slow-2", "slow-2--error-frame-2"])
async def test_leaving_while_the_turn_is_being_settled_does_not_interrupt_it(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog, fault: str
) -> None:
    host = await make_host(database, f"sim-chat--{fault}")
    async with patient_transaction(database) as tx:
        async with opened_stream(http, host, WORDS) as opened:
            await opened.read(until=b'"1 "')
            # The turn cannot settle while we hold this lock.
            await tx.execute("SELECT FROM credit_accounts WHERE organization_id = $1 FOR UPDATE", host.id)
            await upstream.ended()
            await until_waiting(database)
        await asyncio.sleep(0.1)  # for the server to see that we have left

    books = await closed_books_of(database, host)
    assert books.holds == ["settled"]
    assert len((await books_of(database, host)).charges) == 1
