"""What the hand-written server keeps in Postgres and Redis: its tables, and what a turn reads and writes."""

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import asyncpg
import orjson
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

SCHEMA = """
CREATE TABLE IF NOT EXISTS accounts (organization int PRIMARY KEY, balance numeric(18, 6), held numeric(18, 6));
INSERT INTO accounts VALUES (1, 1000000000, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS holds (id bigserial PRIMARY KEY, organization int, reference text UNIQUE,
    amount numeric(18, 6), state text, expires_at timestamptz);
CREATE TABLE IF NOT EXISTS ledger (id bigserial PRIMARY KEY, organization int, reference text UNIQUE,
    amount numeric(18, 6), balance_after numeric(18, 6), created_at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS sessions (id text PRIMARY KEY, organization int, turn text,
    updated_at timestamptz DEFAULT now());
CREATE TABLE IF NOT EXISTS messages (id bigserial PRIMARY KEY, session text, content jsonb,
    created_at timestamptz DEFAULT now());
CREATE INDEX IF NOT EXISTS messages_session ON messages (session, id);
CREATE TABLE IF NOT EXISTS events (id bigserial PRIMARY KEY, organization int, reference text, call int, model text,
    prompt_tokens int, completion_tokens int, is_estimated bool, recorded_at timestamptz DEFAULT now(),
    UNIQUE (reference, call));
CREATE TABLE IF NOT EXISTS claims (organization int, key text, response jsonb, created_at timestamptz DEFAULT now(),
    PRIMARY KEY (organization, key));
"""
HELD, COST = Decimal("0.002500"), Decimal("0.000066")

_POOL = 10
_MOST_AT_ONCE = 1_000_000
_REDIS_CONNECTIONS = 300

# Forgets what is over, checks both windows, and counts the request in both.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 60000000)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local limit = tonumber(ARGV[2])
if redis.call('ZCARD', KEYS[1]) >= limit or redis.call('ZCARD', KEYS[2]) >= limit then return 0 end
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('PEXPIRE', KEYS[1], 61000)
redis.call('ZADD', KEYS[2], now + 15000000, ARGV[1])
redis.call('PEXPIRE', KEYS[2], 60000)
return 1
"""
_KEYS = ("twin:minute:1", "twin:slots:1")
_HOLD = """
WITH account AS (
    UPDATE accounts SET held = held + $2 WHERE organization = 1 AND balance - held >= $2 RETURNING organization
)
INSERT INTO holds (organization, reference, amount, state, expires_at)
SELECT organization, $1, $2, 'open', now() + interval '5 minutes' FROM account RETURNING id
"""
_SETTLE = """
WITH account AS MATERIALIZED (SELECT balance, held FROM accounts WHERE organization = 1 FOR UPDATE),
ended AS (UPDATE holds SET state = 'settled' WHERE reference = $1 AND state = 'open' RETURNING amount),
paid AS (
    UPDATE accounts SET balance = account.balance - $2, held = account.held - ended.amount
    FROM account, ended WHERE organization = 1 RETURNING accounts.balance
)
INSERT INTO ledger (organization, reference, amount, balance_after) SELECT 1, $1, -$2::numeric, balance FROM paid
"""
_EVENT = """
INSERT INTO events (organization, reference, call, model, prompt_tokens, completion_tokens, is_estimated)
VALUES (1, $1, $2, 'bench-chat', $3, $4, false)
"""
_CLAIM = "INSERT INTO claims (organization, key) VALUES (1, $1) ON CONFLICT DO NOTHING RETURNING key"
_OPEN_SESSION = "INSERT INTO sessions (id, organization, turn) VALUES ($1, 1, $2)"
_TAKE_SESSION = "UPDATE sessions SET turn = $2 WHERE id = $1 AND turn IS NULL RETURNING id"
_END_SESSION = "UPDATE sessions SET turn = NULL, updated_at = now() WHERE id = $1"
_APPEND = "INSERT INTO messages (session, content) SELECT $1, message FROM unnest($2::jsonb[]) AS message"
_HISTORY = "SELECT content FROM messages WHERE session = $1 ORDER BY id"


@dataclass(frozen=True)
class Turn:
    """One request: its own id, its session, what goes to the model, and its `Idempotency-Key`, if any."""

    id: str
    session: str
    messages: list[dict[str, Any]]
    key: str | None


class Store:
    """Postgres and Redis, as a turn uses them."""

    def __init__(self, pool: asyncpg.Pool, redis: "Redis", take: AsyncScript, *, with_events: bool) -> None:
        self._pool = pool
        self._redis = redis
        self._take = take
        self._with_events = with_events

    async def begin(self, new: list[dict[str, Any]], session: str | None, key: str | None) -> Turn:
        """Take a slot; then claim the key, open or continue the session, hold credits and store what was said.

        Raises:
            RuntimeError: the limit is reached, the key was used, the session runs, or credits are missing.
        """
        turn_id = secrets.token_hex(8)
        _require(await self._take(keys=_KEYS, args=[turn_id, _MOST_AT_ONCE]))
        async with self._pool.acquire() as connection, connection.transaction():
            if key is not None:
                _require(await connection.fetchval(_CLAIM, key))
            history: list[dict[str, Any]] = []
            if session is None:
                await connection.execute(_OPEN_SESSION, f"s{turn_id}", turn_id)
            else:
                _require(await connection.fetchval(_TAKE_SESSION, session, turn_id))
                history = [orjson.loads(row["content"]) for row in await connection.fetch(_HISTORY, session)]
            _require(await connection.fetchval(_HOLD, turn_id, HELD))
            session = session or f"s{turn_id}"
            await connection.execute(_APPEND, session, [orjson.dumps(message).decode() for message in new])
        return Turn(turn_id, session, [*history, *new], key)

    async def end(self, turn: Turn, said: list[dict[str, Any]], usages: list[dict[str, int]]) -> None:
        """Store what the model said, charge, and give the slot back."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_APPEND, turn.session, [orjson.dumps(message).decode() for message in said])
            await connection.execute(_END_SESSION, turn.session)
            if self._with_events:
                for number, usage in enumerate(usages, 1):
                    await connection.execute(
                        _EVENT, turn.id, number, usage["prompt_tokens"], usage["completion_tokens"]
                    )
            await connection.execute(_SETTLE, turn.id, COST)
            if turn.key is not None:
                response = orjson.dumps(said[-1]).decode()
                await connection.execute("UPDATE claims SET response = $2 WHERE key = $1", turn.key, response)
        await self._redis.zrem(_KEYS[1], turn.id)


@asynccontextmanager
async def opened_store() -> AsyncIterator[Store]:
    """Connect to what `DATABASE_URL` and `REDIS_URL` name; with `EVENTS=1` every call of the model is metered."""
    redis = Redis.from_url(os.environ["REDIS_URL"], max_connections=_REDIS_CONNECTIONS)
    async with asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=_POOL, max_size=_POOL) as pool, redis:
        await pool.execute(SCHEMA)
        yield Store(pool, redis, redis.register_script(_TAKE), with_events=os.environ.get("EVENTS") == "1")


def _require(value: object) -> None:
    if not value:
        raise RuntimeError("refused")
