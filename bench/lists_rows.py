"""Fills one organization with many rows of each list, by SQL, as quickly as Postgres takes them.

A table is emptied and filled in one transaction, without its constraints and indexes, which are made again at its end:
so nothing of it is written to the log, and each index is sorted once.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.core.database import Transaction

KEYS, AGENTS, DAYS = 10, 2, 365
# So many changes of the totals are not added to the counts yet.
UNFOLDED = 1000
# The session that has every second message.
LONG_SESSION = "list-1"
_DRIVER = "asyncpg.Connection[Any]"

_SPREAD = f"now() - ($1::bigint - n) * (interval '{DAYS} days' / $1::bigint)"
# $1 is how many, $2 the organization, $3 its owner, $4 another user, $5 the price of a generation.
_GENERATIONS = f"""
INSERT INTO generations (id, organization_id, user_id, turn_id, model, input, prompt, price_id, max_retries,
    retry_count, failures, is_parked, is_leased, file_token, status, due_at, deadline_at, webhook_nonce, content_type,
    error_message, credit_cost, created_at, started_at, completed_at)
SELECT md5('list-' || n)::uuid, $2, CASE n % 2 WHEN 0 THEN $3 ELSE $4 END, 'turn-' || n, 'simulator/image',
    '{{"prompt": "A lighthouse"}}', 'A lighthouse at night, number ' || n, $5, 3, 0, 0, false, false, 'list-' || n,
    status, made, made + interval '1 hour', 'nonce', CASE status WHEN 'completed' THEN
        CASE WHEN n % 100 = 7 THEN 'glb' WHEN n % 10 = 1 THEN 'audio' WHEN n % 4 = 2 THEN 'video' ELSE 'image' END END,
    CASE status WHEN 'failed' THEN 'NSFW content detected' END, ended.cost, made, made, ended.at
FROM (
    SELECT n, {_SPREAD} AS made, CASE WHEN n % 400 = 0 THEN 'pending' WHEN n % 400 = 1 THEN 'processing'
           WHEN n % 4 = 0 THEN 'failed' ELSE 'completed' END AS status FROM generate_series(1, $1::bigint) n
) numbers
CROSS JOIN LATERAL (SELECT CASE WHEN status IN ('completed', 'failed') THEN 0.003 END AS cost,
                           CASE WHEN status IN ('completed', 'failed') THEN made END AS at) ended
"""
_SESSIONS = f"""
INSERT INTO sessions (id, organization_id, user_id, public_id, api_key_id, message_count, last_turn_failed, created_at,
    last_update_time)
SELECT md5('session-' || n)::uuid, $2, CASE WHEN n % 100 = 0 THEN $4 ELSE $3 END, 'list-' || n,
       'key-list-' || n % {KEYS}, CASE n WHEN 1 THEN $1 / 2 ELSE 2 END, n % 100 = 50, made, made
FROM (SELECT n, {_SPREAD} AS made FROM generate_series(1, $1::bigint) n) numbers WHERE $5 > 0
"""
_MESSAGES = f"""
INSERT INTO messages (session_id, turn_id, role, content, created_at)
SELECT md5('session-' || CASE n % 2 WHEN 0 THEN 1 ELSE 1 + n / 4 END)::uuid, 'turn-' || n / 4,
       CASE n % 4 WHEN 2 THEN 'assistant' WHEN 3 THEN 'assistant' ELSE 'user' END, to_jsonb('Message ' || n), {_SPREAD}
FROM generate_series(1, $1::bigint) n WHERE $2 <> $3 AND $4 <> $3 AND $5 > 0
"""
_LEDGER = f"""
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description,
    created_at, user_id, api_key_id, agent, model, session_id, turn_id, request_id)
SELECT $2, CASE WHEN n % 150 = 1 THEN 'grant' ELSE 'charge' END, 'turn:list-' || n,
       CASE WHEN n % 150 = 1 THEN 30 ELSE -0.0012 END, 1000, false, '', {_SPREAD},
       CASE WHEN n % 150 = 7 THEN $4 ELSE $3 END, 'key-list-' || n % {KEYS}, 'agent-' || n % {AGENTS},
       CASE WHEN n % 50000 = 9 THEN 'seldom' ELSE 'sim-chat' END, md5('session-' || n)::uuid, 'turn-' || n,
       'request-' || n
FROM generate_series(1, $1::bigint) n WHERE $5 > 0
"""
# Of every content, as the first statement numbers them: its one attempt, and what that has made.
_ATTEMPTS = f"""
INSERT INTO attempts (generation_id, number, organization_id, prediction_id, created_at, started_at, finished_at,
    ended_at, ending, error_message, user_id, api_key_id, agent, model, session_id, turn_id, request_id)
SELECT md5('list-' || n)::uuid, 0, $2, 'prediction-' || n, made, made, CASE ending WHEN 'completed' THEN made END,
       CASE WHEN ending IS NOT NULL THEN made END, ending, CASE ending WHEN 'failed' THEN 'NSFW content detected' END,
       CASE n % 2 WHEN 0 THEN $3 ELSE $4 END, 'key-list-' || n % {KEYS}, 'agent-' || n % {AGENTS}, 'simulator/image',
       md5('session-' || n)::uuid, 'turn-' || n, 'request-' || n
FROM (
    SELECT n, {_SPREAD} AS made, CASE WHEN n % 400 > 1 THEN CASE n % 4 WHEN 0 THEN 'failed' ELSE 'completed' END END
           AS ending FROM generate_series(1, $1::bigint) n WHERE $5 > 0
) numbers
"""
_OUTPUTS = """
INSERT INTO outputs (generation_id, attempt, position, storage_path, content_type, media_type, size_bytes, sha256)
SELECT md5('list-' || n)::uuid, 0, 0, 'list/' || n || '/0.webp', 'image', 'image/webp', 1500000,
       encode(sha256(int8send(n)), 'hex')
FROM generate_series(1, $1::bigint) n WHERE n % 400 > 1 AND n % 4 > 0 AND $2 <> $3 AND $4 <> $3 AND $5 > 0
"""
_TABLES = {
    "generations": _GENERATIONS, "ledger_entries": _LEDGER, "sessions": _SESSIONS, "messages": _MESSAGES,
    "attempts": _ATTEMPTS, "outputs": _OUTPUTS,
}  # fmt: skip

_KEY = f"""
INSERT INTO api_keys (id, organization_id, user_id, name, prefix, key_hash, scopes)
SELECT 'key-list-' || n, $1, $2, 'program-' || n, 'jns_live_' || n, sha256(convert_to('list' || n, 'UTF8')),
       '{{orchestrator:invoke}}' FROM generate_series(0, {KEYS - 1}) n
"""
# What a worker does in the course of a year, batch by batch. The last entries are not summed up yet.
_SPEND_DAYS = """
INSERT INTO spend_days (organization_id, day, api_key_id, user_id, agent, model, amount, charges, calls, prompt_tokens,
    completion_tokens, predict_time, outputs)
SELECT organization_id, (created_at AT TIME ZONE 'UTC')::date, api_key_id, user_id, agent, model, -sum(amount),
       count(*), count(*), 0, 0, 0, 0
FROM ledger_entries WHERE kind = 'charge' AND id <= $1 GROUP BY 1, 2, 3, 4, 5, 6
"""
_MARK = """
INSERT INTO spend_marks (organization_id, entry_id) VALUES ($1, $2)
ON CONFLICT (organization_id) DO UPDATE SET entry_id = excluded.entry_id
"""
_HOLD = """
INSERT INTO credit_holds (organization_id, reference, amount, state, charged, ended_at, request_id)
SELECT organization_id, reference, 0.01, 'settled', 0.0012, created_at, request_id
FROM ledger_entries WHERE organization_id = $1 ORDER BY id DESC LIMIT 1000
"""

# What workers add up within a few seconds. It changes no total.
_CHANGES = f"""
INSERT INTO list_count_changes (organization_id, list, user_id, status, content_type, change)
SELECT $1, 'content', '', 'failed', '', 1 - n % 2 * 2 FROM generate_series(1, {UNFOLDED}) n
"""

# Of a table: its own keys and foreign keys, and the foreign keys of others to it. These come last when made again.
_CONSTRAINTS = """
SELECT conrelid::regclass::text AS table, quote_ident(conname) AS name, pg_get_constraintdef(oid) AS definition, contype
FROM pg_constraint WHERE (conrelid = ANY ($1::regclass[]) AND contype IN ('p', 'u', 'f'))
                      OR (confrelid = ANY ($1::regclass[]) AND contype = 'f')
ORDER BY contype = 'f', contype
"""
_INDEXES = """
SELECT indexrelid::regclass::text AS name, pg_get_indexdef(indexrelid) AS definition FROM pg_index
WHERE indrelid = ANY ($1::regclass[]) AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""
# For the time of the load; the log of a table that was emptied in the same transaction is left out.
SERVER_SETTINGS = {"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "8GB", "shared_buffers": "2GB"}
_SESSION_SETTINGS = "SET maintenance_work_mem = '1GB'; SET synchronous_commit = off; SET work_mem = '64MB'"


@dataclass(frozen=True)
class Owner:
    """Whose the rows are: an organization, two of its users, and the price that its contents have."""

    organization_id: str
    user_id: str
    other_id: str
    price_id: int


async def fill(url: str, owner: Owner, rows: int) -> None:
    """Write so many rows of each list, two tables at a time, and all that the lists read beside them."""
    connection = await asyncpg.connect(url)
    constraints = await connection.fetch(_CONSTRAINTS, list(_TABLES))
    for row in sorted(constraints, key=lambda row: row["contype"] != b"f"):
        if row["contype"] == b"f":
            await connection.execute(f"ALTER TABLE {row['table']} DROP CONSTRAINT {row['name']}")
    waiting = list(_TABLES)
    await asyncio.gather(*(_fill_tables(url, waiting, owner, rows) for _ in range(2)))
    for row in constraints:
        if row["contype"] == b"f":
            await connection.execute(
                f"ALTER TABLE {row['table']} ADD CONSTRAINT {row['name']} {row['definition']} NOT VALID"
            )
    await _fill_beside(connection, owner)
    await connection.close()


async def _fill_tables(url: str, waiting: list[str], owner: Owner, rows: int) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(_SESSION_SETTINGS)
    while waiting:
        await _fill_table(connection, waiting.pop(0), owner, rows)
    await connection.close()


async def _fill_table(connection: "asyncpg.Connection[Any]", table: str, owner: Owner, rows: int) -> None:
    values = (owner.organization_id, owner.user_id, owner.other_id, owner.price_id)
    keys = [row for row in await connection.fetch(_CONSTRAINTS, [table]) if row["contype"] != b"f"]
    indexes = await connection.fetch(_INDEXES, [table])
    async with connection.transaction():
        await connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        await connection.execute(f"TRUNCATE {table}")
        for row in keys:
            await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {row['name']}")
        for row in indexes:
            await connection.execute(f"DROP INDEX {row['name']}")
        await connection.execute(_TABLES[table], rows, *values, timeout=None)
        for row in keys:
            await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {row['name']} {row['definition']}")
        for row in indexes:
            await connection.execute(row["definition"], timeout=None)
        await connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


async def leave_changes(tx: Transaction, owner: Owner) -> None:
    """Leave changes of the totals that are not added to the counts."""
    await tx.execute(_CHANGES, owner.organization_id)
    await tx.execute("ANALYZE list_count_changes, list_counts")


async def _fill_beside(connection: "asyncpg.Connection[Any]", owner: Owner) -> None:
    await connection.execute(_KEY, owner.organization_id, owner.user_id)
    mark = await connection.fetchval("SELECT max(id) - 500 FROM ledger_entries")
    await connection.execute(_SPEND_DAYS, mark)
    await connection.execute(_MARK, owner.organization_id, mark)
    await connection.execute(_HOLD, owner.organization_id)
    # Only now, when no older transaction keeps it from marking the pages that all transactions see whole.
    for table in (*_TABLES, "spend_days", "credit_holds", "api_keys"):
        await connection.execute(f"VACUUM (ANALYZE, PARALLEL 0) {table}")
