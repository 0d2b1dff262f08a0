"""An API process that is asked to stop: turns may go on for the grace period, then end with an error."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from redis.asyncio import Redis

from app.core.database import Database
from app.core.redis_keys import redis_key
from tests.agents.definitions import make_host
from tests.chat.asking import CHAT, asked, conversation, open_http, opened_stream, text_of, user
from tests.chat.books import NOTHING_CHARGED, Books, books_of, charged, cost_of, estimate_of
from tests.chat.openai.grammar import read_stream
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.programs import Api, api_process, running_apis
from tests.rate_limits.proxy import proxy_to
from tests.sessions.reading import messages_of
from tests.waiting import until

WORDS = "count to 4"
SHORT, LONG = "0.2", "600"


@asynccontextmanager
async def stoppable(stack: Stack, grace: str, **settings: str) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    """An API that lets turns go on for `grace` seconds after it is asked to stop."""
    environment = {**stack.environment, "SHUTDOWN_GRACE_SECONDS": grace, **settings}
    log = stack.folder / f"stopped-{secrets.token_hex(4)}.log"
    async with (
        running_apis(api_process(environment, log)) as (api,),
        open_http(f"http://127.0.0.1:{api.port}") as http,
    ):
        yield api, http


async def ended(api: Api) -> None:
    await asyncio.to_thread(api.process.wait)


async def is_closed(api: Api) -> bool:
    """Whether the process no longer accepts connections."""
    with suppress(ConnectionError):
        _, writer = await asyncio.open_connection("127.0.0.1", api.port)
        writer.close()
        return False
    return True


def check_unavailable(response: httpx.Response, *, may_repeat: bool) -> None:
    assert (response.status_code, response.json()["error"]["code"]) == (503, "service_unavailable")
    assert response.headers.get("x-should-retry") == (None if may_repeat else "false")


async def test_turns_that_outlast_the_grace_period_end_with_an_error_and_are_charged(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    async with stoppable(stack, SHORT) as (api, doomed):
        async with opened_stream(doomed, host, WORDS, **conversation("streamed")) as opened:
            await opened.read(until=b'"2 "')
            async with asked(doomed, host, WORDS, **conversation("whole")) as asking:
                await upstream.begun(2)
                api.process.terminate()
                await opened.read()
                whole = await asking
        await ended(api)

    streamed = read_stream(opened.response, opened.raw)
    assert streamed.text == "1 2 "
    assert streamed.error is not None
    assert (streamed.error["type"], streamed.error["code"]) == ("server_error", "service_unavailable")
    check_unavailable(whole, may_repeat=False)
    estimate = estimate_of(upstream.requests()[0], "1 2 ")
    assert await books_of(database, host) == Books([estimate], [True], ["settled", "voided"])
    assert await messages_of(http, host, "streamed") == [("user", WORDS), ("assistant", "1 2 ")]
    assert await messages_of(http, host, "whole") == []


@pytest.mark.parametrize("is_streamed", [True, False])
async def test_a_turn_that_ends_within_the_grace_period_is_complete(
    stack: Stack, database: Database, upstream: UpstreamLog, is_streamed: bool
) -> None:
    host = await make_host(database)
    async with (
        proxy_to(stack.environment["LLM_BASE_URL"]) as (chat_models, url),
        stoppable(stack, LONG, LLM_BASE_URL=url) as (api, stopping),
    ):
        chat_models.hold_next()
        async with asked(stopping, host, WORDS, stream=is_streamed) as asking:
            await chat_models.wait_until_held()
            api.process.terminate()
            await until(lambda: is_closed(api))
            chat_models.let_pass()
            response = await asking
        # The process ends with its last turn, not at the end of the grace period.
        await ended(api)

    assert response.status_code == 200
    assert (read_stream(response, response.content).text if is_streamed else text_of(response.json())) == "1 2 3 4"
    assert await books_of(database, host) == charged(cost_of([upstream.calls()[0]["usage"]]))


async def test_a_turn_whose_client_has_left_is_ended_too_and_frees_its_key(
    stack: Stack, http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    body = {"messages": [user(WORDS)]}
    async with stoppable(stack, SHORT) as (api, doomed):
        asking = asyncio.create_task(doomed.post(CHAT, json=body, headers=headers))
        await upstream.begun()
        asking.cancel()
        api.process.terminate()
        await ended(api)

    assert await books_of(database, host) == NOTHING_CHARGED
    async with database.transaction() as tx:
        await tx.execute("UPDATE agents SET model = 'sim-chat' WHERE organization_id = $1", host.id)
    repeated = await http.post(CHAT, json=body, headers=headers)
    assert (repeated.status_code, text_of(repeated.json())) == (200, "1 2 3 4")
    assert "idempotent-replayed" not in repeated.headers


async def test_a_turn_that_had_not_begun_may_be_retried(
    stack: Stack, database: Database, redis: Redis, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-0")

    async def are_both_there() -> bool:
        return bool(await redis.zcard(redis_key("slots", host.id)) == 2)

    async with stoppable(stack, SHORT) as (api, doomed):
        async with asked(doomed, host, WORDS, **conversation("ours")) as first:
            await upstream.begun()
            # This one waits for the session, which the first one holds.
            async with asked(doomed, host, WORDS, **conversation("ours")) as second:
                await until(are_both_there)
                api.process.terminate()
                answers = await asyncio.gather(first, second)
        await ended(api)

    check_unavailable(answers[0], may_repeat=False)
    check_unavailable(answers[1], may_repeat=True)
    assert len(upstream.calls()) == 1
    assert await books_of(database, host) == Books([], [], ["voided", "voided"])
