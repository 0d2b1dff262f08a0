"""Two runs of one request, the later of which has taken over the key: one of them is charged, whatever the other does.

And a run that sleeps until its hold has expired.
"""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import agent, container, make_team, price_chat_models
from tests.chat.asking import CHAT, opened_stream, user
from tests.chat.books import closed_books_of, cost_of
from tests.chat.cut_off_api import CutOffApi, cut_off_api
from tests.chat.gate import BEGINNING, ENDING, USAGE
from tests.chat.openai.grammar import read_stream
from tests.chat.turns.rows import TurnRows, let_holds_expire, let_leases_run_out, rows_of
from tests.chat.upstream import UpstreamLog
from tests.conftest import Stack
from tests.factories import Organization
from tests.faults.books import faults_of

BODY = {"messages": [user("count to 2")]}


@pytest.fixture(scope="module")
async def other(stack: Stack) -> AsyncIterator[CutOffApi]:
    """Another process than the stack's."""
    async with cut_off_api(stack, f"other-{secrets.token_hex(4)}") as running:
        yield running


@pytest.fixture
async def team(database: Database) -> Organization:
    """An organization whose turns make two model calls, one after the other."""
    return await make_team(database, container("SEQUENTIAL", "first", "last"), agent("first"), agent("last"))


def send(api: CutOffApi, what: signal.Signals) -> None:
    os.kill(api.api.process.pid, what)


async def hold_second_call(
    other: CutOffApi, ask: Callable[[], asyncio.Task[httpx.Response]]
) -> asyncio.Task[httpx.Response]:
    """Begin a turn in the other process, up to its second model call. Its first one is recorded then."""
    other.chat_models.hold_next()
    asking = ask()
    await other.chat_models.wait_until_held()
    other.chat_models.let_pass()
    other.chat_models.hold_next()
    await other.chat_models.wait_until_held()
    return asking


def check_one_is_charged(rows: TurnRows, upstream: UpstreamLog) -> None:
    """Check that of two runs the later one is charged, though all four calls are recorded."""
    former, later = rows.holds
    assert former["superseded_by"] == later["reference"]
    assert later["superseded_by"] is None
    assert (former["events"], later["events"]) == (2, 2)
    calls = upstream.calls()
    assert len(calls) == 4
    # Both runs cost the same.
    assert rows.paid == cost_of(call["usage"] for call in calls) / 2
    assert rows.entries[-1]["reference"] == later["reference"] or rows.entries[-1]["kind"] == "adjustment"


@pytest.mark.parametrize("fate", ["runs on", "sleeps", "was settled by a worker", "fails"])
async def test_only_the_later_run_is_charged(
    other: CutOffApi,
    http: httpx.AsyncClient,
    stack: Stack,
    database: Database,
    team: Organization,
    upstream: UpstreamLog,
    fate: str,
) -> None:
    headers = {**team.headers, "Idempotency-Key": secrets.token_hex(8)}
    losing = await hold_second_call(
        other, lambda: asyncio.create_task(other.http.post(CHAT, json=BODY, headers=headers))
    )
    if fate == "sleeps":
        send(other, signal.SIGSTOP)
    if fate == "was settled by a worker":
        await let_holds_expire(database, team)
        assert len((await rows_of(database, team)).entries) == 1
    await let_leases_run_out(database, team)

    taken = await http.post(CHAT, json=BODY, headers=headers)
    if fate == "fails":
        stack.simulator.order_fault("last-model", "status-500")
    other.chat_models.let_pass()
    if fate == "sleeps":
        send(other, signal.SIGCONT)
    lost = await losing
    repeated = await http.post(CHAT, json=BODY, headers=headers)

    assert (taken.status_code, lost.status_code) == (200, 502 if fate == "fails" else 200)
    assert repeated.headers["Idempotent-Replayed"] == "true"
    assert repeated.content == taken.content
    rows = await rows_of(database, team)
    if fate == "fails":
        assert rows.paid == -rows.entries[-1]["amount"]
        assert rows.entries[-1]["reference"] == rows.holds[1]["reference"]
    else:
        check_one_is_charged(rows, upstream)
    assert rows.lost_calls == 0
    assert await faults_of(database, team) == []


async def test_a_run_that_wakes_after_its_hold_has_expired_is_charged_for_the_rest_once(
    other: CutOffApi, database: Database, upstream: UpstreamLog
) -> None:
    team = await make_team(database, container("SEQUENTIAL", "first", "last"), agent("first"), agent("last", "gated"))
    await price_chat_models(database, "gated", upstream="gate")
    async with AsyncExitStack() as opened:
        streaming = await opened.enter_async_context(opened_stream(other.http, team, "count to 2"))
        await streaming.read(until=BEGINNING.encode())
        send(other, signal.SIGSTOP)
        await let_holds_expire(database, team)
        other.gate.is_open.set()
        send(other, signal.SIGCONT)
        await streaming.read()

    assert read_stream(streaming.response, streaming.raw).text == BEGINNING + ENDING
    (call,) = upstream.calls()
    rows = await rows_of(database, team)
    reference = rows.holds[0]["reference"]
    assert [(entry["reference"], -entry["amount"]) for entry in rows.entries] == [
        (reference, cost_of([call["usage"]])),
        (f"late:{reference}:2", cost_of([USAGE])),
    ]
    assert rows.lost_calls == 0
    assert await faults_of(database, team) == []


async def test_the_former_run_of_a_key_that_has_expired_stays_charged(
    other: CutOffApi, http: httpx.AsyncClient, database: Database, team: Organization
) -> None:
    headers = {**team.headers, "Idempotency-Key": secrets.token_hex(8)}
    losing = await hold_second_call(
        other, lambda: asyncio.create_task(other.http.post(CHAT, json=BODY, headers=headers))
    )
    async with database.transaction() as tx:
        for table in ("user_idempotency_keys", "idempotency_keys"):
            await tx.execute(f"UPDATE {table} SET expires_at = now() WHERE organization_id = $1", team.id)
    await let_leases_run_out(database, team)

    again = await http.post(CHAT, json=BODY, headers=headers)
    other.chat_models.let_pass()
    lost = await losing

    # A day later the key stands for another request.
    assert (again.status_code, lost.status_code) == (200, 200)
    books = await closed_books_of(database, team)
    assert books.holds == ["settled", "settled"]
    assert [hold["superseded_by"] for hold in (await rows_of(database, team)).holds] == [None, None]
