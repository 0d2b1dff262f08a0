"""The totals of lists after an upgrade, during which the version before goes on writing: it knows nothing of them."""

import asyncio
import secrets
from pathlib import Path

import asyncpg

from tests.upgrades.migrators import migrator, status_of

# As the version before changes its rows. Some transactions stay open for a while.
_ADD = """
INSERT INTO generations (id, organization_id, user_id, model, input, prompt, price_id, max_retries, file_token, status,
    retry_count, due_at, deadline_at, created_at, failures, is_parked, webhook_nonce)
SELECT gen_random_uuid(), organization_id, user_id, model, input, prompt, price_id, 3, gen_random_uuid()::text,
       'pending', 0, now(), now() + interval '1 hour', now(), 0, false, 'nonce'
FROM generations LIMIT 3
"""
_MOVE = """
UPDATE generations SET status = 'processing', prediction_id = gen_random_uuid()::text
WHERE id IN (SELECT id FROM generations WHERE status = 'pending' LIMIT 2 FOR UPDATE SKIP LOCKED)
"""
_FAIL = """
UPDATE generations SET status = 'failed', completed_at = now(), credit_cost = 0, error_message = 'It failed'
WHERE id IN (SELECT id FROM generations WHERE status = 'processing' LIMIT 1 FOR UPDATE SKIP LOCKED)
"""
_TALK = """
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed)
VALUES (gen_random_uuid(), 'filler-1', 'filler', $1, 0, false)
"""
_DIFFERENCES = """
SELECT organization_id, list, user_id, status, content_type, sum(n) FROM (
    SELECT organization_id, list, user_id, status, content_type, total AS n FROM list_counts
    UNION ALL
    SELECT organization_id, list, user_id, status, content_type, change FROM list_count_changes
    UNION ALL
    SELECT organization_id, 'content', '', status, coalesce(content_type, ''), -1 FROM generations
    UNION ALL
    SELECT organization_id, 'sessions', user_id, '', '', -1 FROM sessions
) both_counts GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0
"""


async def _write(url: str, stopping: asyncio.Event, pause: float) -> int:
    """Write again and again until the event is set; returns how many transactions were committed."""
    connection = await asyncpg.connect(url)
    written = 0
    while not stopping.is_set():
        async with connection.transaction():
            await connection.execute(_ADD)
            await connection.execute(_TALK, secrets.token_hex(8))
            await asyncio.sleep(pause)
            await connection.execute(_MOVE)
            await connection.execute(_FAIL)
        written += 1
        await asyncio.sleep(0.005)
    await connection.close()
    return written


async def test_totals_are_exact_although_the_version_before_writes_during_the_upgrade(
    older_url: str, tmp_path: Path
) -> None:
    stopping = asyncio.Event()
    writers = [asyncio.create_task(_write(older_url, stopping, pause)) for pause in (0, 0.01, 0.05)]
    migration = migrator(older_url, tmp_path / "migrate.log")

    migration.launch()
    assert await status_of(migration) == 0, migration.log.read_text()
    stopping.set()
    written = await asyncio.gather(*writers)

    assert min(written) > 5
    connection = await asyncpg.connect(older_url)
    assert await connection.fetch(_DIFFERENCES) == []
    assert await connection.fetchval("SELECT count(*) FROM list_count_changes WHERE change < 0") > 0
    await connection.close()
