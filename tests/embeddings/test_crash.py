"""What becomes of a request for embeddings whose process is killed, asked to stop, or cannot reach Postgres."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import httpx

from app.core.database import Database
from tests.chat.asking import open_http
from tests.chat.books import books_of
from tests.chat.turns.rows import let_holds_expire, let_leases_run_out, rows_of
from tests.conftest import Stack
from tests.embeddings.asking import embed, vectors_of
from tests.factories import Organization
from tests.programs import Api, api_process, running_apis
from tests.waiting import until

SLOW = "sim-embed--first-token-slow-600"


@asynccontextmanager
async def an_api(stack: Stack, **settings: str) -> AsyncIterator[tuple[Api, httpx.AsyncClient]]:
    log = stack.folder / f"embeddings-{secrets.token_hex(4)}.log"
    async with (
        running_apis(api_process({**stack.environment, **settings}, log)) as (api,),
        open_http(f"http://127.0.0.1:{api.port}") as http,
    ):
        yield api, http


async def asked(stack: Stack, text: str) -> None:
    """Wait until the upstream has been asked for this input."""

    async def is_asked() -> bool:
        log = await asyncio.to_thread(stack.simulator.log, "embeddings")
        return any(entry["request"]["input"] == [text] for entry in log)

    await until(is_asked)


async def test_calls_whose_process_was_killed_are_free_and_a_repetition_is_charged_once(
    stack: Stack, http: httpx.AsyncClient, priced: Database, organization: Organization
) -> None:
    repeated, left = f"repeated {organization.id}", f"left {organization.id}"
    async with an_api(stack) as (api, doomed):
        stack.simulator.order_fault("sim-embed", "first-token-slow-600")
        asking = [asyncio.create_task(embed(doomed, organization, repeated, key="killed"))]
        await asked(stack, repeated)
        asking.append(asyncio.create_task(embed(doomed, organization, left, model=SLOW)))
        await asked(stack, left)
        assert (await books_of(priced, organization)).holds == ["open", "open"]
        api.kill()
        await asyncio.gather(*asking, return_exceptions=True)
    await let_leases_run_out(priced, organization)

    # It takes over the key, and ends the hold of the run that was killed.
    served = await embed(http, organization, repeated, key="killed")
    await let_holds_expire(priced, organization)

    vectors_of(served)
    rows = await rows_of(priced, organization)
    assert [hold["state"] for hold in rows.holds] == ["voided", "voided", "settled"]
    assert (len(rows.entries), rows.paid) == (1, served.json()["usage"]["prompt_tokens"] * Decimal("0.000001"))
    assert (await books_of(priced, organization)).held == 0


async def test_a_hold_that_expired_before_its_call_ended_is_charged_late_and_once(
    http: httpx.AsyncClient, priced: Database, organization: Organization
) -> None:
    asking = asyncio.create_task(embed(http, organization, "slow", model="sim-embed--first-token-slow-1"))

    async def is_held() -> bool:
        return (await books_of(priced, organization)).holds == ["open"]

    await until(is_held)
    await let_holds_expire(priced, organization)
    vectors = vectors_of(await asking)

    assert len(vectors) == 1
    rows = await rows_of(priced, organization)
    assert [hold["state"] for hold in rows.holds] == ["voided"]
    assert rows.paid == Decimal("0.000001")


async def test_calls_that_outlast_the_grace_period_end_with_an_error_and_are_free(
    stack: Stack, priced: Database, organization: Organization
) -> None:
    text = f"stopped {organization.id}"
    async with an_api(stack, SHUTDOWN_GRACE_SECONDS="0.2") as (api, doomed):
        asking = asyncio.create_task(embed(doomed, organization, text, model=SLOW))
        await asked(stack, text)
        api.process.terminate()
        response = await asking
        await asyncio.to_thread(api.process.wait)

    assert (response.status_code, response.json()["error"]["code"]) == (503, "service_unavailable")
    assert (await books_of(priced, organization)).holds == ["voided"]
