"""Metering events, from which holds are settled, and the origin of holds, events and ledger entries."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ATTRIBUTION = {
    "user_id": sa.Text(),
    "api_key_id": sa.Text(),
    "agent": sa.Text(),
    "model": sa.Text(),
    "session_id": sa.Uuid(),
    "turn_id": sa.Text(),
    "request_id": sa.Text(),
    "traceparent": sa.Text(),
}
_APPEND_ONLY = """
CREATE FUNCTION refuse_metering_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'metering events are only ever added';
END
$$
"""


def upgrade() -> None:
    for table in ("credit_holds", "ledger_entries"):
        for name, kind in _ATTRIBUTION.items():
            op.add_column(table, sa.Column(name, kind))
    op.add_column("ledger_entries", sa.Column("quantities", JSONB(none_as_null=True)))
    op.add_column("credit_holds", sa.Column("calls_opened", sa.Integer(), server_default="0", nullable=False))
    op.add_column("credit_holds", sa.Column("superseded_by", sa.Text()))
    op.create_check_constraint(op.f("ck_credit_holds_calls_opened_not_negative"), "credit_holds", "calls_opened >= 0")
    # What exceeds a hold is taken from what is available.
    op.drop_constraint(op.f("ck_credit_holds_charged_within_amount"), "credit_holds")
    op.create_check_constraint(
        op.f("ck_credit_holds_charged_not_negative"), "credit_holds", "charged >= 0 AND charged < 'NaN'"
    )
    op.add_column("idempotency_keys", sa.Column("hold_reference", sa.Text()))
    op.add_column("idempotency_keys", sa.Column("former_hold_reference", sa.Text()))
    op.add_column("models", sa.Column("context_tokens", sa.Integer()))
    op.create_check_constraint(op.f("ck_models_context_tokens_positive"), "models", "context_tokens > 0")
    op.create_table(
        "metering_events",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("hold_reference", sa.Text(), nullable=False),
        sa.Column("call_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("price_id", sa.Integer(), nullable=False),
        sa.Column("prompt_tokens", sa.BigInteger()),
        sa.Column("completion_tokens", sa.BigInteger()),
        sa.Column("delivered_bytes", sa.BigInteger()),
        sa.Column("predict_time", sa.Numeric()),
        sa.Column("outputs", sa.Integer()),
        sa.Column("is_estimated", sa.Boolean(), nullable=False),
        sa.Column("cost", sa.Numeric(18, 6), nullable=False),
        sa.Column("began_at", sa.DateTime(timezone=True)),
        sa.Column("first_token_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        *(sa.Column(name, kind) for name, kind in _ATTRIBUTION.items()),
        sa.CheckConstraint("kind IN ('model_call', 'generation')", name=op.f("ck_metering_events_kind_known")),
        sa.CheckConstraint("cost >= 0 AND cost < 'NaN'", name=op.f("ck_metering_events_cost_not_negative")),
        sa.CheckConstraint(
            "prompt_tokens >= 0 AND completion_tokens >= 0 AND delivered_bytes >= 0 AND predict_time >= 0"
            " AND predict_time < 'Infinity' AND outputs >= 0",
            name=op.f("ck_metering_events_quantities_not_negative"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_metering_events_organization_id_organizations")
        ),
        sa.ForeignKeyConstraint(["price_id"], ["prices.id"], name=op.f("fk_metering_events_price_id_prices")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metering_events")),
        sa.UniqueConstraint("call_id", name=op.f("uq_metering_events_call_id")),
    )
    op.create_index("ix_metering_events_hold", "metering_events", ["hold_reference"])
    op.create_index("ix_metering_events_organization", "metering_events", ["organization_id", "recorded_at"])
    op.execute(_APPEND_ONLY)
    op.execute(
        "CREATE TRIGGER metering_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON metering_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_metering_change()"
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
