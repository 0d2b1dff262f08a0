"""Indexes for the console's pages of content, and when the vendor was known to have finished an attempt."""

from alembic import op

from migrations import steps

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_generations_user": "ON generations (organization_id, user_id, created_at DESC, id DESC)",
    "ix_generations_type": (
        "ON generations (organization_id, content_type, created_at DESC, id DESC) WHERE content_type IS NOT NULL"
    ),
    "ix_generations_status": (
        "ON generations (organization_id, status, created_at DESC, id DESC) WHERE status <> 'completed'"
    ),
    "ix_attempts_agent": ("ON attempts (organization_id, agent, created_at DESC, generation_id DESC) WHERE number = 0"),
    "ix_attempts_key": (
        "ON attempts (organization_id, api_key_id, created_at DESC, generation_id DESC) WHERE number = 0"
    ),
}


def upgrade() -> None:
    with steps.online():
        steps.add_columns("attempts", {"finished_at": "timestamptz"})
        for name, definition in _INDEXES.items():
            steps.create_index(name, definition)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(name)
    op.drop_column("attempts", "finished_at")
