"""What the floor keeps, many turns at a time: whatever comes within a few milliseconds shares one statement."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg
import orjson
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from bench.turn_cost.twin_store import COST, HELD, SCHEMA

_WAIT_SECONDS = 0.005
_CONNECTIONS = 4
# Of Redis. A pool that has no more of them raises an error, and does not wait.
_REDIS_CONNECTIONS = 300
_KEYS = ("floor:minute:1", "floor:slots:1")
# Forgets what is over, then counts every request that is named, in both windows.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local free = tonumber(ARGV[1]) - math.max(redis.call('ZCARD', KEYS[1]), redis.call('ZCARD', KEYS[2]))
local taken = math.min(free, #ARGV - 1)
for place = 2, taken + 1 do
    redis.call('ZADD', KEYS[1], now, ARGV[place])
    redis.call('ZADD', KEYS[2], now + 15000000, ARGV[place])
end
redis.call('PEXPIRE', KEYS[1], 61000)
redis.call('PEXPIRE', KEYS[2], 60000)
return taken
"""
_MOST_AT_ONCE = 1_000_000
_BEGIN = """
WITH new AS (SELECT * FROM unnest($1::text[], $2::text[]) AS new (turn, message)),
account AS (
    UPDATE accounts SET held = held + $3::numeric * (SELECT count(*) FROM new)
    WHERE organization = 1 AND balance - held >= $3::numeric * (SELECT count(*) FROM new) RETURNING organization
),
opened AS (INSERT INTO sessions (id, organization, turn) SELECT 's' || turn, organization, turn FROM new, account),
said AS (INSERT INTO messages (session, content) SELECT 's' || turn, message::jsonb FROM new)
INSERT INTO holds (organization, reference, amount, state, expires_at)
SELECT organization, turn, $3, 'open', now() + interval '5 minutes' FROM new, account
"""
_END = """
WITH ended AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::int[], $4::int[])
        WITH ORDINALITY AS ended (turn, message, prompt_tokens, completion_tokens, place)
),
account AS MATERIALIZED (SELECT balance, held FROM accounts WHERE organization = 1 FOR UPDATE),
settled AS (
    UPDATE holds SET state = 'settled' FROM ended, account WHERE reference = turn AND state = 'open' RETURNING amount
),
paid AS (
    UPDATE accounts SET balance = account.balance - $5::numeric * (SELECT count(*) FROM ended),
        held = account.held - (SELECT sum(amount) FROM settled)
    FROM account WHERE organization = 1
),
said AS (INSERT INTO messages (session, content) SELECT 's' || turn, message::jsonb FROM ended),
closed AS (UPDATE sessions SET turn = NULL, updated_at = now() FROM ended WHERE sessions.id = 's' || ended.turn),
metered AS (
    INSERT INTO events (organization, reference, call, model, prompt_tokens, completion_tokens, is_estimated)
    SELECT 1, turn, 1, 'bench-chat', prompt_tokens, completion_tokens, false FROM ended
)
INSERT INTO ledger (organization, reference, amount, balance_after)
SELECT 1, turn, -$5::numeric, account.balance - $5::numeric * place FROM ended, account
"""
_Item = TypeVar("_Item")


@dataclass(frozen=True)
class Ended:
    """A turn that has its answer, which is JSON, and its usage."""

    turn: str
    message: str
    prompt_tokens: int
    completion_tokens: int


class Batches(Generic[_Item]):
    """Collects items for a few milliseconds, and does what is to be done with all of them at once."""

    def __init__(self, write: Callable[[Sequence[_Item]], Awaitable[None]]) -> None:
        self._write = write
        self._items: list[_Item] = []
        self._written: asyncio.Future[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, item: _Item) -> "asyncio.Future[None]":
        """Add an item; the result is there once it is written."""
        self._items.append(item)
        if self._written is None:
            loop = asyncio.get_running_loop()
            self._written = loop.create_future()
            loop.call_later(_WAIT_SECONDS, self._begin)
        return self._written

    def _begin(self) -> None:
        items, written = self._items, self._written
        assert written is not None  # noqa: S101 - it was made with the first item
        self._items, self._written = [], None
        task = asyncio.create_task(self._finish(items, written))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _finish(self, items: list[_Item], written: "asyncio.Future[None]") -> None:
        try:
            await self._write(items)
        except Exception as error:  # noqa: BLE001 - whoever waits gets it
            written.set_exception(error)
        else:
            written.set_result(None)


class Store:
    """Postgres and Redis, as the floor uses them."""

    def __init__(self, pool: asyncpg.Pool, redis: "Redis", take: AsyncScript) -> None:
        self._pool = pool
        self._redis = redis
        self._take = take
        self._begins: Batches[tuple[str, str]] = Batches(self._write_begins)
        self._ends: Batches[Ended] = Batches(self._write_ends)

    async def begin(self, message: dict[str, Any]) -> str:
        """Take a slot, open a session, hold credits and store what was said. The result is the turn's id."""
        turn = secrets.token_hex(8)
        await self._begins.add((turn, orjson.dumps(message).decode()))
        return turn

    async def end(self, turn: str, text: str, usage: dict[str, int]) -> None:
        """Store what the model said, meter and charge it, and give the slot back."""
        message = orjson.dumps({"role": "assistant", "content": text}).decode()
        await self._ends.add(Ended(turn, message, usage["prompt_tokens"], usage["completion_tokens"]))

    async def _write_begins(self, new: Sequence[tuple[str, str]]) -> None:
        turns, messages = zip(*new, strict=True)
        if await self._take(keys=_KEYS, args=[_MOST_AT_ONCE, *turns]) < len(new):
            raise RuntimeError("refused")
        if await self._pool.execute(_BEGIN, turns, messages, HELD) != f"INSERT 0 {len(new)}":
            raise RuntimeError("refused")

    async def _write_ends(self, ended: Sequence[Ended]) -> None:
        turns = [each.turn for each in ended]
        prompts, completions = [each.prompt_tokens for each in ended], [each.completion_tokens for each in ended]
        await self._pool.execute(_END, turns, [each.message for each in ended], prompts, completions, COST)
        await self._redis.zrem(_KEYS[1], *turns)


async def open_store() -> Store:
    """Connect to what `DATABASE_URL` and `REDIS_URL` name."""
    pool = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=_CONNECTIONS, max_size=_CONNECTIONS)
    await pool.execute(SCHEMA)
    redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=_REDIS_CONNECTIONS)
    return Store(pool, redis, redis.register_script(_TAKE))
