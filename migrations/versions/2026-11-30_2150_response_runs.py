"""Responses that run without their client, and the events of those that are streamed."""

from alembic import op

from migrations import steps

revision = "0045"
down_revision = "0044"
branch_labels = None
depends_on = None

_RUNS = """
CREATE TABLE IF NOT EXISTS response_runs (
    id text NOT NULL,
    organization_id text NOT NULL CONSTRAINT fk_response_runs_organization_id_organizations REFERENCES organizations,
    user_id text NOT NULL CONSTRAINT fk_response_runs_user_id_users REFERENCES users,
    api_key_id text NOT NULL,
    session_id uuid NOT NULL CONSTRAINT fk_response_runs_session_id_sessions REFERENCES sessions ON DELETE CASCADE,
    turn_id text NOT NULL,
    status text NOT NULL,
    attempt bigint NOT NULL DEFAULT 1,
    lease_until timestamptz,
    identity json NOT NULL,
    request bytea,
    response json,
    input json,
    uses json,
    next_event integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT pk_response_runs PRIMARY KEY (id),
    CONSTRAINT ck_response_runs_status_known
        CHECK (status IN ('queued', 'in_progress', 'completed', 'incomplete', 'failed', 'cancelled')),
    CONSTRAINT ck_response_runs_live_until_ended
        CHECK ((status IN ('queued', 'in_progress')) = (ended_at IS NULL)),
    CONSTRAINT ck_response_runs_leased_while_live
        CHECK (lease_until IS NOT NULL OR ended_at IS NOT NULL),
    CONSTRAINT ck_response_runs_request_while_leased
        CHECK (lease_until IS NULL OR request IS NOT NULL)
)
"""
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS ix_response_runs_session ON response_runs (session_id)",
    "CREATE INDEX IF NOT EXISTS ix_response_runs_lease ON response_runs (lease_until) WHERE lease_until IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS ix_response_runs_ended ON response_runs (ended_at) WHERE next_event > 0",
)
_EVENTS = """
CREATE TABLE IF NOT EXISTS response_events (
    response_id text NOT NULL
        CONSTRAINT fk_response_events_response_id_response_runs REFERENCES response_runs ON DELETE CASCADE,
    first integer NOT NULL,
    body bytea NOT NULL,
    CONSTRAINT pk_response_events PRIMARY KEY (response_id, first)
)
"""


def upgrade() -> None:
    with steps.online():
        # The constraints lock the tables that they refer to for a moment.
        steps.alter(("organizations", "users", "sessions"), _RUNS, *_INDEXES, _EVENTS)


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS response_events")
    op.execute("DROP TABLE IF EXISTS response_runs")
