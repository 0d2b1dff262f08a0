"""Responses that clients ask for again, and go on from."""

from alembic import op

from migrations import steps

revision = "0036"
down_revision = "0039"
branch_labels = None
depends_on = None

_CREATE = """
CREATE TABLE IF NOT EXISTS kept_responses (
    id text NOT NULL,
    organization_id text NOT NULL CONSTRAINT fk_kept_responses_organization_id_organizations REFERENCES organizations,
    user_id text NOT NULL CONSTRAINT fk_kept_responses_user_id_users REFERENCES users,
    session_id uuid NOT NULL CONSTRAINT fk_kept_responses_session_id_sessions REFERENCES sessions ON DELETE CASCADE,
    turn_id text NOT NULL,
    response json NOT NULL,
    input json NOT NULL,
    thoughts json,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_kept_responses PRIMARY KEY (id)
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS ix_kept_responses_session ON kept_responses (session_id)"


def upgrade() -> None:
    with steps.online():
        # The constraints lock the tables that they refer to for a moment.
        steps.alter(("organizations", "users", "sessions"), _CREATE, _INDEX)


def downgrade() -> None:
    op.execute("DROP TABLE IF EXISTS kept_responses")
