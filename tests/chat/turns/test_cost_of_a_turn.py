"""How often a warm turn asks Postgres and Redis, and hands work to threads: counted, so that no machine matters."""

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields
from secrets import token_hex
from statistics import median

import httpx
import pytest

from app.core.database import Database
from tests.agents.definitions import make_host
from tests.chat.asking import CHAT, answer_of, conversation, open_http, stream, user
from tests.chat.turns.counted_api import PATH, PROBE, PROBED
from tests.chat.turns.traffic import PostgresReader, RedisReader, Traffic, counted
from tests.conftest import Stack
from tests.factories import Organization
from tests.programs import api_process, running_apis


@dataclass(frozen=True)
class Cost:
    """What one turn may cost at most.

    Attributes:
        statements: of SQL, with each BEGIN, SET and COMMIT.
        transactions: how many of them begin; a statement that is a transaction by itself is none.
        postgres_round_trips, redis_round_trips: how often the process waits for an answer.
        thread_hops: how often it hands work to another thread.
    """

    statements: int
    transactions: int
    postgres_round_trips: int
    redis_round_trips: int
    thread_hops: int


# Whoever makes turns cheaper lowers these. None of them may rise.
MOST = {
    "called": Cost(statements=2, transactions=0, postgres_round_trips=2, redis_round_trips=2, thread_hops=0),
    "streamed": Cost(statements=2, transactions=0, postgres_round_trips=2, redis_round_trips=2, thread_hops=0),
    "with a key": Cost(statements=2, transactions=0, postgres_round_trips=2, redis_round_trips=2, thread_hops=0),
    "response": Cost(statements=2, transactions=0, postgres_round_trips=2, redis_round_trips=2, thread_hops=0),
    "continued": Cost(statements=3, transactions=0, postgres_round_trips=3, redis_round_trips=2, thread_hops=0),
}
# The first turns load the key, and prepare statements.
WARM_UP = 3
# The process's own periodic work falls into some of the turns, so what counts is the median.
TURNS = 9


@dataclass(frozen=True)
class CountedApi:
    """An API process whose traffic and threads are counted."""

    http: httpx.AsyncClient
    url: str
    postgres: Traffic
    redis: Traffic

    async def hops(self, path: str = PATH) -> int:
        """How often it has handed work to another thread so far."""
        return int((await self.http.get(f"{self.url}{path}")).raise_for_status().text)

    async def turn(self, organization: Organization, kind: str) -> None:
        """One turn that succeeds."""
        match kind:
            case "called":
                await answer_of(self.http, organization, "count to 3")
            case "streamed":
                await stream(self.http, organization, "count to 3")
            case "response":
                asked = {"model": "junis-orchestrator", "input": "count to 3"}
                (await self.http.post("/v1/responses", json=asked, headers=organization.headers)).raise_for_status()
            case "continued":
                await answer_of(self.http, organization, "count to 3", **conversation("the session"))
            case _:
                headers = organization.headers | {"Idempotency-Key": token_hex(8)}
                body = {"messages": [user("count to 3")]}
                (await self.http.post(CHAT, json=body, headers=headers)).raise_for_status()


@pytest.fixture(scope="module")
async def api(stack: Stack) -> AsyncIterator[CountedApi]:
    async with (
        counted(stack.environment["DATABASE_URL"], PostgresReader) as postgres,
        counted(stack.environment["REDIS_URL"], RedisReader) as redis,
    ):
        environment = {**stack.environment, "DATABASE_URL": postgres.url, "REDIS_URL": redis.url}
        process = api_process(environment, stack.folder / "counted.log")
        process.program.arguments = ("-m", "tests.chat.turns.counted_api", *process.program.arguments[3:])
        async with running_apis(process), open_http(process.url) as http:
            yield CountedApi(http, process.url, postgres, redis)


@pytest.mark.parametrize("kind", MOST)
async def test_a_warm_turn_asks_no_more_than_this(api: CountedApi, database: Database, kind: str) -> None:
    host = await make_host(database)
    for _ in range(WARM_UP):
        await api.turn(host, kind)

    found = [await _cost_of_a_turn(api, host, kind) for _ in range(TURNS)]

    costs = {field.name: median(getattr(cost, field.name) for cost, _ in found) for field in fields(Cost)}
    most = asdict(MOST[kind])
    asked = "\n".join(found[-1][1])
    assert {name: cost for name, cost in costs.items() if cost > most[name]} == {}, f"at most {most}; asked:\n{asked}"
    # Nothing at all would be the counters' own failure: a turn takes a slot, is admitted and ends.
    assert min(costs[name] for name in ("statements", "postgres_round_trips", "redis_round_trips")) > 0


async def test_work_that_is_handed_to_threads_is_counted(api: CountedApi) -> None:
    await api.hops(PROBE)  # the threads themselves are started

    before = await api.hops()
    after = await api.hops(PROBE)

    assert after - before == PROBED


async def _cost_of_a_turn(api: CountedApi, organization: Organization, kind: str) -> tuple[Cost, list[str]]:
    """What one turn has cost, and its statements."""
    hops, (sql, postgres_trips), (_, redis_trips) = await api.hops(), api.postgres.mark(), api.redis.mark()
    await api.turn(organization, kind)
    statements = api.postgres.asked[sql:]
    return Cost(
        statements=len(statements),
        transactions=sum(statement.upper().startswith("BEGIN") for statement in statements),
        postgres_round_trips=api.postgres.round_trips - postgres_trips,
        redis_round_trips=api.redis.round_trips - redis_trips,
        thread_hops=await api.hops() - hops,
    ), statements
