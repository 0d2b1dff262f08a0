"""What is spent each day, summed up from the ledger; alerts of credits that run low, and the mails they send."""

from alembic import op

from migrations import steps

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_CREATE_DAYS = """
CREATE TABLE IF NOT EXISTS spend_days (
    organization_id text NOT NULL CONSTRAINT fk_spend_days_organization_id_organizations REFERENCES organizations,
    day date NOT NULL,
    api_key_id text NOT NULL,
    user_id text NOT NULL,
    agent text NOT NULL,
    model text NOT NULL,
    amount numeric(18, 6) NOT NULL,
    charges bigint NOT NULL,
    calls bigint NOT NULL,
    prompt_tokens bigint NOT NULL,
    completion_tokens bigint NOT NULL,
    predict_time numeric NOT NULL,
    outputs bigint NOT NULL,
    CONSTRAINT pk_spend_days PRIMARY KEY (organization_id, day, api_key_id, user_id, agent, model)
)
"""
_CREATE_MARKS = """
CREATE TABLE IF NOT EXISTS spend_marks (
    organization_id text NOT NULL CONSTRAINT fk_spend_marks_organization_id_organizations REFERENCES organizations,
    entry_id bigint NOT NULL,
    CONSTRAINT pk_spend_marks PRIMARY KEY (organization_id)
)
"""
_CREATE_ALERTS = """
CREATE TABLE IF NOT EXISTS credit_alerts (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_credit_alerts PRIMARY KEY,
    organization_id text NOT NULL CONSTRAINT fk_credit_alerts_organization_id_organizations REFERENCES organizations,
    threshold numeric(18, 6) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    raised_at timestamptz,
    raised_balance numeric(18, 6),
    CONSTRAINT uq_credit_alerts_organization_id_threshold UNIQUE (organization_id, threshold),
    CONSTRAINT ck_credit_alerts_threshold_positive CHECK (threshold > 0 AND threshold < 'NaN'),
    CONSTRAINT ck_credit_alerts_raised_with_balance CHECK ((raised_at IS NULL) = (raised_balance IS NULL))
)
"""
_CREATE_MAILS = """
CREATE TABLE IF NOT EXISTS outgoing_mails (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_outgoing_mails PRIMARY KEY,
    recipient text NOT NULL,
    subject text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(),
    attempts integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    given_up_at timestamptz,
    last_error text,
    CONSTRAINT ck_outgoing_mails_attempts_not_negative CHECK (attempts >= 0),
    CONSTRAINT ck_outgoing_mails_sent_or_given_up CHECK (sent_at IS NULL OR given_up_at IS NULL)
)
"""

# The suffix of each index's name, its columns before the time, and which rows it has.
_INDEXES = (
    ("created", "organization_id", None),
    ("user", "organization_id, user_id", "user_id IS NOT NULL"),
    ("agent", "organization_id, agent", "agent IS NOT NULL"),
    ("model", "organization_id, model", "model IS NOT NULL"),
    ("session", "session_id", "session_id IS NOT NULL"),
    ("request", "request_id", "request_id IS NOT NULL"),
    ("given", "organization_id", "kind <> 'charge'"),
)


def upgrade() -> None:
    with steps.online():
        # Tables without rows need nobody's patience. The days before are summed up by the workers.
        steps.alter(
            ("organizations",),
            _CREATE_DAYS,
            _CREATE_MARKS,
            _CREATE_ALERTS,
            _CREATE_MAILS,
            "CREATE INDEX IF NOT EXISTS ix_outgoing_mails_due ON outgoing_mails (due_at)"
            " WHERE sent_at IS NULL AND given_up_at IS NULL",
            "CREATE INDEX IF NOT EXISTS ix_outgoing_mails_created ON outgoing_mails (created_at)",
        )
        for suffix, columns, condition in _INDEXES:
            where = f" WHERE {condition}" if condition else ""
            steps.create_index(f"ix_ledger_entries_{suffix}", f"ON ledger_entries ({columns}, created_at, id){where}")


def downgrade() -> None:
    for suffix, _columns, _condition in reversed(_INDEXES):
        op.drop_index(f"ix_ledger_entries_{suffix}", "ledger_entries")
    for table in ("outgoing_mails", "credit_alerts", "spend_marks", "spend_days"):
        op.drop_table(table)
