-- Many rows for a database with the schema 0012, `{rows}` generations among them: what an installation has after a year
-- of work that was charged. One generation in fifty has failed, at no cost.

INSERT INTO organizations (id, name, plan_name, subscription_status)
SELECT 'filler-' || n, 'Filler ' || n, 'pro', 'active'
FROM generate_series(1, 49) n;

INSERT INTO users (id, email) VALUES ('filler', 'filler@example.com');

INSERT INTO credit_accounts (organization_id, balance, held)
SELECT 'filler-' || n, 0, 0
FROM generate_series(1, 49) n;

CREATE TEMP TABLE owner AS
SELECT row_number() OVER (ORDER BY organization_id) - 1 AS n, organization_id AS id
FROM credit_accounts;

INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description)
SELECT o.id, 'grant', 'filler:' || o.id, 1000000, a.balance + 1000000, false, 'A year'
FROM owner o JOIN credit_accounts a ON a.organization_id = o.id;

UPDATE credit_accounts SET balance = balance + 1000000;

INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed)
SELECT md5('session' || g)::uuid, o.id, 'filler', 'filler-' || g, 25, false
FROM generate_series(1, {rows} / 50) g JOIN owner o ON o.n = g % 50;

INSERT INTO messages (session_id, turn_id, role, content)
SELECT md5('session' || (g / 25 + 1))::uuid, 'turn-' || g / 2, CASE g % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
    to_jsonb('Message number ' || g || ', which says what messages say.')
FROM generate_series(0, {rows} / 2 - 1) g WHERE g / 25 + 1 <= {rows} / 50;

INSERT INTO generations (id, organization_id, user_id, model, input, prompt, price_id, max_retries, file_token,
    status, retry_count, due_at, deadline_at, prediction_id, content_type, output_url, error_message, credit_cost,
    created_at, started_at, completed_at, failures, is_parked, webhook_nonce)
SELECT md5(g::text)::uuid, o.id, 'filler', 'simulator/image', jsonb_build_object('prompt', 'Picture ' || g),
    'Picture ' || g, (SELECT min(id) FROM prices WHERE model_name = 'simulator/image'), 3, 'token-' || g, CASE WHEN
    g % 51 = 0 THEN 'failed' ELSE 'completed' END, 0, at, at + interval '1 hour', 'prediction-' || g, CASE WHEN g %
    51 <> 0 THEN 'image' END, 'http://127.0.0.1/' || g, CASE WHEN g % 51 = 0 THEN 'It failed' END, CASE WHEN g % 51
    = 0 THEN 0 ELSE 0.003 END, at, at + interval '1 second', at + interval '9 seconds', 0, false, 'nonce-' || g
FROM generate_series(1, {rows}) g JOIN owner o ON o.n = g % 50
CROSS JOIN LATERAL (SELECT now() - interval '1 day' - make_interval(secs => 30 * g) AS at) made;

INSERT INTO outputs (generation_id, attempt, position, storage_path, content_type, media_type, size_bytes, sha256)
SELECT id, 0, 0, 'generation/image/' || id || '.png', 'image', 'image/png', 30373, md5(id::text) || md5(id::text)
FROM generations WHERE user_id = 'filler' AND status = 'completed';

INSERT INTO credit_holds (organization_id, reference, amount, state, charged, created_at, ended_at)
SELECT organization_id, format('generation:%s:0', id), 0.012, CASE status WHEN 'failed' THEN 'voided' ELSE 'settled'
    END, CASE status WHEN 'failed' THEN NULL ELSE 0.003 END, created_at, completed_at
FROM generations WHERE user_id = 'filler' ORDER BY created_at;

INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description)
SELECT h.organization_id, 'charge', reference, -0.003, a.balance - 0.003 * row_number() OVER (PARTITION BY
    h.organization_id ORDER BY h.id), false, 'Picture'
FROM credit_holds h JOIN credit_accounts a USING (organization_id) WHERE state = 'settled' ORDER BY h.id;

UPDATE credit_accounts a SET balance = balance + total
FROM (SELECT organization_id, sum(amount) AS total FROM ledger_entries WHERE kind = 'charge' GROUP BY 1) spent WHERE
    spent.organization_id = a.organization_id;

INSERT INTO idempotency_keys (organization_id, route, key, request_hash, claim_id, response, expires_at)
SELECT o.id, '/v1/chat/completions', 'key-' || g, sha256(g::text::bytea), 'claim-' || g, json_build_object('status',
    200, 'body', repeat('x', 300)), now() + interval '1 day'
FROM generate_series(1, {rows} / 5) g JOIN owner o ON o.n = g % 50;

DROP TABLE owner;
