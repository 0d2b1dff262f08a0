"""What is kept for how long: sealed sums of the ledger, runs of the pruning, and what Postgres has to know for it.

Events and ended holds of sealed days may be deleted from now on, and nothing else of them. No process of the version
before deletes any; but its `junis verify-ledger` takes what has gone for a fault.
"""

from alembic import op

from migrations import steps

revision = "0030"
down_revision = "0028"
branch_labels = None
depends_on = None

_QUANTITIES = """
    calls bigint NOT NULL,
    prompt_tokens numeric NOT NULL,
    completion_tokens numeric NOT NULL,
    predict_time numeric NOT NULL,
    outputs numeric NOT NULL,
    cost numeric NOT NULL
"""
_CREATE_DAYS = """
CREATE TABLE IF NOT EXISTS sealed_days (
    organization_id text NOT NULL CONSTRAINT fk_sealed_days_organization_id_organizations REFERENCES organizations,
    day date NOT NULL,
    charges bigint NOT NULL,
    charged numeric NOT NULL,
    CONSTRAINT pk_sealed_days PRIMARY KEY (organization_id, day)
)
"""
_CREATE_SUMS = f"""
CREATE TABLE IF NOT EXISTS sealed_sums (
    organization_id text NOT NULL CONSTRAINT fk_sealed_sums_organization_id_organizations REFERENCES organizations,
    day date NOT NULL,
    price_id integer NOT NULL CONSTRAINT fk_sealed_sums_price_id_prices REFERENCES prices,
    {_QUANTITIES.strip()},
    CONSTRAINT pk_sealed_sums PRIMARY KEY (organization_id, day, price_id)
)
"""
_CREATE_MARKS = """
CREATE TABLE IF NOT EXISTS seal_marks (
    organization_id text NOT NULL CONSTRAINT fk_seal_marks_organization_id_organizations REFERENCES organizations,
    entry_id bigint NOT NULL,
    sealed_before timestamptz,
    pruned_before timestamptz,
    pruned_holds bigint NOT NULL DEFAULT 0,
    pruned_events bigint NOT NULL DEFAULT 0,
    lost_calls bigint NOT NULL DEFAULT 0,
    fault text,
    CONSTRAINT pk_seal_marks PRIMARY KEY (organization_id),
    CONSTRAINT ck_seal_marks_pruned_if_sealed CHECK (pruned_before IS NULL OR pruned_before <= sealed_before)
)
"""
_CREATE_RUNS = """
CREATE TABLE IF NOT EXISTS retention_runs (
    kind text NOT NULL,
    due_at timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz,
    began_at timestamptz,
    ended_at timestamptz,
    removed bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_retention_runs PRIMARY KEY (kind),
    CONSTRAINT ck_retention_runs_kind_known CHECK (kind IN ('idempotency_keys', 'sessions', 'metering'))
)
"""

# What may not go yet. The mark is written before anything goes.
_UNSEALED = """
    SELECT FROM removed r LEFT JOIN seal_marks m ON m.organization_id = r.organization_id
    WHERE {is_kept} OR r.{at} >= m.pruned_before OR m.pruned_before IS NULL
"""
_REFUSE_EVENTS = f"""
CREATE OR REPLACE FUNCTION refuse_unsealed_events() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS ({_UNSEALED.format(is_kept="false", at="recorded_at").strip()}) THEN
        RAISE EXCEPTION 'metering events are only ever added, and deleted only once their days are sealed';
    END IF;
    RETURN NULL;
END
$$
"""
_REFUSE_HOLDS = f"""
CREATE OR REPLACE FUNCTION refuse_unsealed_holds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS ({_UNSEALED.format(is_kept="r.state = 'open'", at="ended_at").strip()}) THEN
        RAISE EXCEPTION 'holds are deleted only once they have ended and their days are sealed';
    END IF;
    RETURN NULL;
END
$$
"""
_KEEP_EVENTS = (
    _REFUSE_EVENTS,
    (
        "CREATE OR REPLACE TRIGGER metering_events_append_only BEFORE UPDATE OR TRUNCATE ON metering_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_metering_change()"
    ),
    (
        "CREATE OR REPLACE TRIGGER metering_events_sealed AFTER DELETE ON metering_events"
        " REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION refuse_unsealed_events()"
    ),
)
_KEEP_HOLDS = (
    _REFUSE_HOLDS,
    (
        "CREATE OR REPLACE TRIGGER credit_holds_sealed AFTER DELETE ON credit_holds"
        " REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION refuse_unsealed_holds()"
    ),
)

_INDEXES = {
    # Along this one ended holds are pruned, the oldest first.
    "ix_credit_holds_ended": "ON credit_holds (organization_id, ended_at) WHERE ended_at IS NOT NULL",
    # Without it each session that goes makes Postgres look through all generations for those that name it.
    "ix_generations_of_session": "ON generations (session_id) WHERE session_id IS NOT NULL",
}

# Where the default waits for too long: docs/growth.md has the reason of each.
_SETTINGS = {
    "credit_accounts": {"fillfactor": "50"},
    "spend_marks": {"fillfactor": "50"},
    "credit_holds": {"autovacuum_vacuum_scale_factor": "0.01", "autovacuum_analyze_scale_factor": "0.02"},
    "metering_events": {"autovacuum_vacuum_scale_factor": "0.02", "autovacuum_vacuum_insert_scale_factor": "0.02"},
    "ledger_entries": {"autovacuum_vacuum_insert_scale_factor": "0.02", "autovacuum_analyze_scale_factor": "0.02"},
    "user_idempotency_keys": {"autovacuum_vacuum_scale_factor": "0.02"},
    "idempotency_keys": {"autovacuum_vacuum_scale_factor": "0.02"},
    "attempts": {"autovacuum_vacuum_scale_factor": "0.05"},
    "create_calls": {"autovacuum_vacuum_scale_factor": "0.05"},
    "outputs": {"autovacuum_vacuum_scale_factor": "0.05"},
}


def upgrade() -> None:
    with steps.online():
        steps.alter(("organizations", "prices"), _CREATE_DAYS, _CREATE_SUMS, f"{_CREATE_MARKS} WITH (fillfactor = 50)")
        steps.alter((), _CREATE_RUNS)
        steps.alter(("metering_events",), *_KEEP_EVENTS)
        steps.alter(("credit_holds",), *_KEEP_HOLDS)
        for name, definition in _INDEXES.items():
            steps.create_index(name, definition)
        for table, settings in _SETTINGS.items():
            written = ", ".join(f"{name} = {value}" for name, value in settings.items())
            steps.alter((table,), f"ALTER TABLE {table} SET ({written})")


def downgrade() -> None:
    for table, settings in _SETTINGS.items():
        op.execute(f"ALTER TABLE {table} RESET ({', '.join(settings)})")
    for name in _INDEXES:
        op.drop_index(name)
    op.execute("DROP TRIGGER credit_holds_sealed ON credit_holds")
    op.execute("DROP TRIGGER metering_events_sealed ON metering_events")
    op.execute(
        "CREATE OR REPLACE TRIGGER metering_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON metering_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_metering_change()"
    )
    for function in ("refuse_unsealed_holds", "refuse_unsealed_events"):
        op.execute(f"DROP FUNCTION {function}()")
    for table in ("retention_runs", "seal_marks", "sealed_sums", "sealed_days"):
        op.drop_table(table)
