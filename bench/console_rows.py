"""Fills an organization with a year's use, for the console to show: rows written by SQL, as the product writes them."""

from app.core.database import Database

CONTENTS = 100_000
SESSIONS = 20_000
ENTRIES = 1_000_000
_MESSAGES_OF_EACH = 6
_KEYS = 50
_DAYS = 365

# $1 is the organization, $2 its owner, $3 a chat price, $4 a price of a generation, $5 how many.
_SESSION = f"""
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed, created_at,
    last_update_time)
SELECT gen_random_uuid(), $1, $2, 'bench-' || n, {_MESSAGES_OF_EACH}, false,
       now() - make_interval(secs => n * {_DAYS * 86400}.0 / $3::double precision),
       now() - make_interval(secs => n * {_DAYS * 86400}.0 / $3::double precision)
FROM generate_series(1, $3::int) AS n
"""
_MESSAGES = f"""
INSERT INTO messages (session_id, turn_id, role, content, agent, created_at)
SELECT id, 'turn-' || public_id || '-' || n / 2, CASE n % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
       to_jsonb('Draw a lighthouse at night, number ' || n || ' of ' || public_id),
       CASE n % 2 WHEN 0 THEN NULL ELSE 'orchestrator' END, created_at + make_interval(secs => n)
FROM sessions, generate_series(0, {_MESSAGES_OF_EACH - 1}) AS n WHERE organization_id = $1
"""
_KEY = """
INSERT INTO api_keys (id, organization_id, user_id, name, prefix, key_hash, scopes, created_at)
SELECT 'key-bench-' || n, $1, $2, 'program-' || n, 'jns_live_' || n, sha256(convert_to('bench' || n, 'UTF8')),
       '{orchestrator:invoke}', now() - interval '1 year'
FROM generate_series(1, $3::int) AS n
"""
_GENERATIONS = f"""
INSERT INTO generations (id, organization_id, user_id, session_id, turn_id, model, input, prompt, price_id,
    max_retries, retry_count, failures, is_parked, is_leased,
    file_token, status, due_at, deadline_at, webhook_nonce, content_type, output_url, error_message, credit_cost,
    created_at, started_at, completed_at)
SELECT gen_random_uuid(), $1, $2,
       (SELECT id FROM sessions WHERE organization_id = $1 AND public_id = 'bench-' || (1 + n % $5::int)),
       'turn-bench-' || n, $4, '{{"prompt": "A lighthouse"}}', 'A lighthouse at night, number ' || n, $3, 3,
       0, 0, false, false, 'bench' || n, CASE WHEN n % 20 = 0 THEN 'failed' ELSE 'completed' END, made,
       made + interval '1 hour', 'bench' || n,
       CASE WHEN n % 20 = 0 THEN NULL ELSE 'image' END, NULL,
       CASE WHEN n % 20 = 0 THEN 'NSFW content detected' END, 0.003, made, made, made + interval '9 seconds'
FROM (SELECT n, now() - make_interval(secs => n * {_DAYS * 86400}.0 / $6::double precision) AS made
      FROM generate_series(1, $6::int) AS n) AS numbers
"""
_OUTPUTS = """
INSERT INTO outputs (generation_id, attempt, position, storage_path, content_type, media_type, size_bytes, sha256)
SELECT id, 0, 0, 'bench/' || file_token || '.png', 'image', 'image/png', 123456, repeat('a', 64)
FROM generations WHERE organization_id = $1 AND status = 'completed'
"""
_ATTEMPTS = """
INSERT INTO attempts (generation_id, number, organization_id, created_at, started_at, ended_at, ending)
SELECT id, 0, organization_id, created_at, started_at, completed_at, status FROM generations WHERE organization_id = $1
"""
_EVENTS = f"""
INSERT INTO metering_events (organization_id, hold_reference, call_id, kind, price_id, prompt_tokens,
    completion_tokens, delivered_bytes, is_estimated, cost, began_at, ended_at, recorded_at, user_id, api_key_id,
    agent, model, turn_id, request_id)
SELECT $1, 'turn:bench-' || n, 'bench:' || n, 'model_call', $3, 900, 60, 240, false, 0.0012, made, made, made, $2,
       'key-bench-' || (1 + n % {_KEYS}), (ARRAY['orchestrator', 'writer', 'painter'])[1 + n % 3], $4,
       'turn-bench-' || n, 'req-bench-' || n
FROM (SELECT n, now() - make_interval(secs => ($5::int - n) * {_DAYS * 86400}.0 / $5::double precision) AS made
      FROM generate_series(1, $5::int) AS n) AS numbers
"""
_LEDGER = f"""
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description,
    quantities, created_at, user_id, api_key_id, agent, model, turn_id, request_id)
SELECT $1, 'charge', 'turn:bench-' || n, -0.0012, ($5::int - n) * 0.0012, false, '',
       jsonb_build_array(jsonb_build_object('price_id', $3::int, 'calls', 1, 'prompt_tokens', 900,
                                            'completion_tokens', 60, 'cost', '0.001200')),
       made, $2, 'key-bench-' || (1 + n % {_KEYS}), (ARRAY['orchestrator', 'writer', 'painter'])[1 + n % 3], $4,
       'turn-bench-' || n, 'req-bench-' || n
FROM (SELECT n, now() - make_interval(secs => ($5::int - n) * {_DAYS * 86400}.0 / $5::double precision) AS made
      FROM generate_series(1, $5::int) AS n) AS numbers
"""
_HOLDS = f"""
INSERT INTO credit_holds (organization_id, reference, amount, state, charged, created_at, ended_at)
SELECT $1, 'turn:bench-' || n, 0.01, 'settled', 0.0012, made, made
FROM (SELECT n, now() - make_interval(secs => ($2::int - n) * {_DAYS * 86400}.0 / $2::double precision) AS made
      FROM generate_series(1, $2::int) AS n) AS numbers
"""
_PRICE = "SELECT p.id, p.model_name FROM prices p JOIN models m ON m.name = p.model_name WHERE m.kind = $1 LIMIT 1"


async def fill(
    database: Database, organization_id: str, user_id: str, *, contents: int, sessions: int, entries: int
) -> None:
    """Write the rows: contents, sessions, ledger entries with their events and holds, spread over a year."""
    async with database.transaction() as tx:
        chat = await tx.fetchrow(_PRICE, "chat")
        image = await tx.fetchrow(_PRICE, "generation")
        assert chat is not None and image is not None  # noqa: S101, PT018 - the bench has set them
        await tx.execute(_SESSION, organization_id, user_id, sessions)
        await tx.execute(_KEY, organization_id, user_id, _KEYS)
    async with database.transaction() as tx:
        await tx.execute(_MESSAGES, organization_id)
        await tx.execute(_GENERATIONS, organization_id, user_id, image["id"], image["model_name"], sessions, contents)
        await tx.execute(_OUTPUTS, organization_id)
        await tx.execute(_ATTEMPTS, organization_id)
    async with database.transaction() as tx:
        await tx.execute(_EVENTS, organization_id, user_id, chat["id"], chat["model_name"], entries)
        await tx.execute(_LEDGER, organization_id, user_id, chat["id"], chat["model_name"], entries)
        await tx.execute(_HOLDS, organization_id, entries)
