"""Processes that fall asleep at the worst moment: nobody else waits for them, and the books are right afterwards.

`FULL=1` lets an API fall asleep before each statement of a turn in turn. Otherwise it does so before some of them,
which `SEED` chooses.
"""

import asyncio
import os
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.core.database import Database
from app.core.driver import IDLE_SECONDS, STATEMENT_SECONDS
from tests import factories
from tests.factories import Organization
from tests.faults.books import faults_of
from tests.faults.crash import CHAT, installation
from tests.faults.postgres_proxy import PostgresProxy, postgres_proxy
from tests.frozen import frozen
from tests.programs import Api, api_process, running_apis
from tests.waiting import PATIENCE, until

_IS_FULL = os.environ.get("FULL") == "1"
_SAMPLE = 4
_HELLO = {"messages": [{"role": "user", "content": "Hello"}]}
_CONVERSATION = {"elevenlabs_extra_body": {"conversation_id": "kept"}}
# The machine may be busy. What waits for a process that sleeps would wait for as long as the test lets it sleep.
_PROMPT_SECONDS = IDLE_SECONDS + 5
_OPEN = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'junis' AND state = 'idle in transaction'"
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'junis' AND pid <> pg_backend_pid()"


@dataclass(frozen=True)
class Pair:
    """Two APIs on one Postgres. The first one reaches it through a proxy, and may be put to sleep."""

    sleeper: Api
    other: Api
    proxy: PostgresProxy
    database: Database

    async def chat(self, api: Api, organization: Organization, *, is_keyed: bool = False) -> httpx.Response:
        """The response to a chat. One with a key, in a conversation that goes on, takes a transaction of several steps.

        With a key alone, or a conversation alone, it would take none.
        """
        headers = organization.headers | ({"Idempotency-Key": secrets.token_hex(8)} if is_keyed else {})
        async with httpx.AsyncClient(base_url=api.base_url, headers=headers, timeout=PATIENCE) as client:
            return await client.post(CHAT, json=_HELLO | (_CONVERSATION if is_keyed else {}))

    async def open_transactions(self) -> int:
        """How many transactions are open without a statement that runs."""
        async with self.database.transaction() as tx:
            count: int = await tx.fetchval(_OPEN)
        return count


@pytest.fixture(scope="module")
async def pair(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("sleeping")
    async with (
        installation(environment, folder) as there,
        postgres_proxy(there.settings["DATABASE_URL"]) as (proxy, url),
        running_apis(
            api_process(there.settings | {"DATABASE_URL": url}, folder / "sleeper.log"),
            api_process(there.settings, folder / "other.log"),
        ) as (sleeper, other),
    ):
        yield Pair(sleeper, other, proxy, there.database)


async def statements_of_a_turn(pair: Pair, *, is_keyed: bool) -> int:
    """How many statements a turn runs on an API that has run one before."""
    organization = await factories.make_organization(pair.database)
    await pair.chat(pair.sleeper, organization, is_keyed=is_keyed)
    before = pair.proxy.statements
    await pair.chat(pair.sleeper, organization, is_keyed=is_keyed)
    return pair.proxy.statements - before


async def sleep_before(pair: Pair, number: int, *, is_keyed: bool) -> bool:
    """Let the first API sleep before this statement of a turn, and check that nobody has to wait for it.

    Returns:
        Whether a transaction of the turn was open while it slept.
    """
    ours, theirs = [await factories.make_organization(pair.database) for _ in range(2)]
    for api, organization in ((pair.sleeper, ours), (pair.other, ours), (pair.other, theirs)):
        assert (await pair.chat(api, organization, is_keyed=is_keyed)).status_code == 200
    pair.proxy.hold(number)
    interrupted = asyncio.create_task(pair.chat(pair.sleeper, ours, is_keyed=is_keyed))
    async with asyncio.timeout(PATIENCE):
        await pair.proxy.wait_until_held()
    with frozen(pair.sleeper.process.pid):
        was_open = await pair.open_transactions() > 0
        started = time.monotonic()
        answered = await pair.chat(pair.other, theirs)
        seconds = time.monotonic() - started
        # It was answered while the transaction was open, unless the machine was so slow that Postgres had ended it.
        is_still_open = await pair.open_transactions() > 0 or seconds > IDLE_SECONDS / 2
        readiness = [await is_ready(pair.other) for _ in range(3)]
        # Those who need what the transaction has locked wait until Postgres ends it, and no longer.
        await until(lambda: is_answered(pair, ours))
        readiness.append(await is_ready(pair.other))
    pair.proxy.let_pass()
    assert (await interrupted).status_code in {200, 503}
    assert answered.status_code == 200
    assert is_still_open or not was_open
    assert seconds < _PROMPT_SECONDS
    assert readiness == [True] * 4
    for organization in (ours, theirs):
        assert await faults_of(pair.database, organization) == []
    return was_open


async def is_ready(api: Api) -> bool:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        return (await client.get(f"{api.url}/readyz")).status_code == 200


async def is_answered(pair: Pair, organization: Organization) -> bool:
    return (await pair.chat(pair.other, organization)).status_code == 200


@pytest.mark.timeout(3600 if _IS_FULL else 300)
async def test_an_api_that_sleeps_within_a_transaction_delays_nobody_for_long(pair: Pair) -> None:
    chosen = choose(await statements_of_a_turn(pair, is_keyed=True))

    were_open = [await sleep_before(pair, number, is_keyed=True) for number in chosen]

    # Otherwise this test shows nothing.
    assert any(were_open), f"no transaction was open before these statements: {list(chosen)}"


@pytest.mark.timeout(3600 if _IS_FULL else 300)
async def test_an_api_that_sleeps_within_a_plain_turn_keeps_no_transaction_open(pair: Pair) -> None:
    chosen = choose(await statements_of_a_turn(pair, is_keyed=False))

    assert [await sleep_before(pair, number, is_keyed=False) for number in chosen] == [False] * len(chosen)


def choose(count: int) -> Sequence[int]:
    """The numbers of the statements before which the API falls asleep."""
    numbers = range(1, count + 1)
    return numbers if _IS_FULL else random.Random(os.environ.get("SEED", "1")).sample(numbers, min(_SAMPLE, count))


async def test_a_postgres_that_sleeps_is_given_up_and_the_books_are_right(pair: Pair) -> None:
    organization = await factories.make_organization(pair.database)
    assert (await pair.chat(pair.other, organization)).status_code == 200
    async with pair.database.transaction() as tx:
        backends = [row["pid"] for row in await tx.fetch(_BACKENDS)]

    with frozen(*backends):
        started = time.monotonic()
        response = await pair.chat(pair.other, organization)
        seconds = time.monotonic() - started

    # If only the end of the turn has met it, the answer was made and will be charged: the client is told not to repeat.
    is_late = response.headers.get("x-should-retry") == "false"
    assert response.status_code == 503
    assert is_late or response.headers["retry-after"] == "1"
    assert seconds < 3 * STATEMENT_SECONDS
    assert (await pair.chat(pair.other, organization)).status_code == 200
    assert await faults_of(pair.database, organization) == []
