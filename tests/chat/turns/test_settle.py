"""The end of a turn in Postgres, which may go away, and where other turns end at the same time."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import CHAT, conversation, opened_stream, user
from tests.chat.books import charged, closed_books_of, cost_of, estimate_of
from tests.chat.conftest import HeldApi
from tests.chat.locks import cut_off, locked_account, until_waiting
from tests.chat.turns.rows import let_leases_run_out
from tests.chat.upstream import UpstreamLog
from tests.factories import Organization
from tests.patient import patient_transaction
from tests.sessions.reading import messages_of

WORDS = "count to 4"

Asking = asyncio.Task[httpx.Response]


async def status_of(http: httpx.AsyncClient, headers: dict[str, str], session_id: str) -> object:
    return (await http.get(f"/sessions/{session_id}/status", headers=headers)).json()["status"]


async def test_a_turn_that_its_client_left_is_settled_although_postgres_goes_away(
    http: httpx.AsyncClient, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database, "sim-chat--stall-2")

    async with AsyncExitStack() as account:
        async with opened_stream(http, host, WORDS, **conversation("ours")) as opened:
            await opened.read(until=b'"2 "')
            await account.enter_async_context(locked_account(database, host))
        await cut_off(database)
        await cut_off(database)

    estimate = estimate_of(upstream.the_request(), "1 2 ")
    assert await closed_books_of(database, host) == charged(estimate, is_estimated=True)
    assert await messages_of(http, host, "ours") == [("user", WORDS), ("assistant", "1 2 ")]
    assert await status_of(http, host.headers, "ours") == "idle"


async def test_a_lost_turn_and_the_one_that_took_over_its_key_do_not_block_each_other(
    held: HeldApi, database: Database
) -> None:
    host = await make_host(database)
    async with locked_key(held, database, host) as (begin, lose):
        taking = begin()
        await until_waiting(database, "user_idempotency_keys")
        losing = lose()
        await until_waiting(database, "user_idempotency_keys", count=2)
    lost, taken = await asyncio.gather(losing, taking)

    assert (lost.status_code, taken.status_code) == (200, 200)
    assert "Idempotent-Replayed" not in taken.headers
    assert "Deadlock" not in held.log.read_text()
    assert (await closed_books_of(database, host)).holds == ["voided", "settled"]
    assert await messages_of(held.http, host, "ours") == [("user", WORDS), ("assistant", "1 2 3 4")]


async def test_a_turn_that_ends_just_before_its_key_is_taken_over_is_the_only_one(
    held: HeldApi, database: Database, upstream: UpstreamLog
) -> None:
    host = await make_host(database)
    async with locked_key(held, database, host) as (begin, lose):
        ending = lose()
        await until_waiting(database, "user_idempotency_keys")
        repeating = begin()
        await until_waiting(database, "user_idempotency_keys", count=2)
    ended, repeated = await asyncio.gather(ending, repeating)

    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert repeated.content == ended.content
    (call,) = upstream.calls()
    assert await closed_books_of(database, host) == charged(cost_of([call["usage"]]))


@asynccontextmanager
async def locked_key(
    held: HeldApi, database: Database, host: Organization
) -> AsyncIterator[tuple[Callable[[], Asking], Callable[[], Asking]]]:
    """During the block nobody can touch the key of a turn whose leases have run out, and whose model call is held.

    Yields:
        What sends the same request again, and what lets the turn end.
    """
    headers = {**host.headers, "Idempotency-Key": secrets.token_hex(8)}
    body = {"messages": [user(WORDS)], **conversation("ours")}

    def begin() -> Asking:
        return asyncio.create_task(held.http.post(CHAT, json=body, headers=headers))

    def lose() -> Asking:
        held.chat_models.let_pass()
        return losing

    held.chat_models.hold_next()
    losing = begin()
    await held.chat_models.wait_until_held()
    await let_leases_run_out(database, host)
    async with patient_transaction(database) as tx:
        await tx.execute("SELECT FROM user_idempotency_keys WHERE organization_id = $1 FOR UPDATE", host.id)
        yield begin, lose
