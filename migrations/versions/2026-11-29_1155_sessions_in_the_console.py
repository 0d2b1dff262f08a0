"""Sessions keep the key they were begun with, and have the indexes that the console reads them by."""

from alembic import op

from migrations import steps

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_sessions_organization": "ON sessions (organization_id, last_update_time DESC, id DESC)",
    "ix_sessions_key": "ON sessions (api_key_id, last_update_time DESC) WHERE api_key_id IS NOT NULL",
    "ix_sessions_name": "ON sessions (organization_id, public_id text_pattern_ops)",
    "ix_credit_holds_request": "ON credit_holds (organization_id, request_id) WHERE request_id IS NOT NULL",
}


def upgrade() -> None:
    with steps.online():
        steps.add_columns("sessions", {"api_key_id": "text"})
        for name, definition in _INDEXES.items():
            steps.create_index(name, definition)


def downgrade() -> None:
    for name in reversed(_INDEXES):
        op.drop_index(name)
    op.drop_column("sessions", "api_key_id")
