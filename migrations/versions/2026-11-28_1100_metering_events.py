"""Metering events, from which holds are settled, and the origin of holds, events and ledger entries."""

from alembic import op

from migrations import steps

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ATTRIBUTION = {
    "user_id": "text",
    "api_key_id": "text",
    "agent": "text",
    "model": "text",
    "session_id": "uuid",
    "turn_id": "text",
    "request_id": "text",
    "traceparent": "text",
}
_CREATE_EVENTS = f"""
CREATE TABLE IF NOT EXISTS metering_events (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_metering_events PRIMARY KEY,
    organization_id text NOT NULL CONSTRAINT fk_metering_events_organization_id_organizations REFERENCES organizations,
    hold_reference text NOT NULL,
    call_id text NOT NULL CONSTRAINT uq_metering_events_call_id UNIQUE,
    kind text NOT NULL,
    price_id integer NOT NULL CONSTRAINT fk_metering_events_price_id_prices REFERENCES prices,
    prompt_tokens bigint,
    completion_tokens bigint,
    delivered_bytes bigint,
    predict_time numeric,
    outputs integer,
    is_estimated boolean NOT NULL,
    cost numeric(18, 6) NOT NULL,
    began_at timestamptz,
    first_token_at timestamptz,
    ended_at timestamptz,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    {", ".join(f"{name} {kind}" for name, kind in _ATTRIBUTION.items())},
    CONSTRAINT ck_metering_events_kind_known CHECK (kind IN ('model_call', 'generation')),
    CONSTRAINT ck_metering_events_cost_not_negative CHECK (cost >= 0 AND cost < 'NaN'),
    CONSTRAINT ck_metering_events_quantities_not_negative CHECK (
        prompt_tokens >= 0 AND completion_tokens >= 0 AND delivered_bytes >= 0 AND predict_time >= 0
        AND predict_time < 'Infinity' AND outputs >= 0
    )
)
"""
_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION refuse_metering_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'metering events are only ever added';
END
$$
"""
_APPEND_ONLY = """
CREATE OR REPLACE TRIGGER metering_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON metering_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_metering_change()
"""


def upgrade() -> None:
    with steps.online():
        _extend_credits()
        steps.add_columns("idempotency_keys", {"hold_reference": "text", "former_hold_reference": "text"})
        steps.add_columns("models", {"context_tokens": "integer"})
        steps.add_constraint("models", "ck_models_context_tokens_positive", "CHECK (context_tokens > 0)")
        # A table without rows needs nobody's patience.
        steps.alter(
            ("organizations", "prices"),
            _CREATE_EVENTS,
            "CREATE INDEX IF NOT EXISTS ix_metering_events_hold ON metering_events (hold_reference)",
            "CREATE INDEX IF NOT EXISTS ix_metering_events_organization"
            " ON metering_events (organization_id, recorded_at)",
            _REFUSE_CHANGE,
            _APPEND_ONLY,
        )


def _extend_credits() -> None:
    counted = {"calls_opened": "integer NOT NULL DEFAULT 0", "superseded_by": "text"}
    steps.add_columns("credit_holds", _ATTRIBUTION | counted)
    steps.add_columns("ledger_entries", _ATTRIBUTION | {"quantities": "jsonb"})
    steps.add_constraint("credit_holds", "ck_credit_holds_calls_opened_not_negative", "CHECK (calls_opened >= 0)")
    steps.add_constraint(
        "credit_holds", "ck_credit_holds_charged_not_negative", "CHECK (charged >= 0 AND charged < 'NaN')"
    )
    # What exceeds a hold is taken from what is available.
    steps.alter(
        ("credit_holds",), "ALTER TABLE credit_holds DROP CONSTRAINT IF EXISTS ck_credit_holds_charged_within_amount"
    )


def downgrade() -> None:
    op.drop_table("metering_events")
    op.execute("DROP FUNCTION refuse_metering_change()")
    op.drop_column("models", "context_tokens")
    op.drop_column("idempotency_keys", "former_hold_reference")
    op.drop_column("idempotency_keys", "hold_reference")
    op.drop_constraint(op.f("ck_credit_holds_charged_not_negative"), "credit_holds")
    # What was charged above a hold stays as it is; new rows are checked again.
    op.execute(
        "ALTER TABLE credit_holds ADD CONSTRAINT ck_credit_holds_charged_within_amount"
        " CHECK (charged >= 0 AND charged <= amount) NOT VALID"
    )
    op.drop_column("credit_holds", "superseded_by")
    op.drop_column("credit_holds", "calls_opened")
    op.drop_column("ledger_entries", "quantities")
    for table in ("ledger_entries", "credit_holds"):
        for name in reversed(_ATTRIBUTION):
            op.drop_column(table, name)
