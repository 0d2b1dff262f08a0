"""Messages that a later request has replaced, and what one file may count for, of the chat models that take files."""

from alembic import op

from migrations import steps

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with steps.online():
        steps.add_columns("messages", {"superseded_by": "text"})
        steps.create_index("ix_messages_in_force", "ON messages (session_id, id) WHERE superseded_by IS NULL")
        steps.add_columns("models", {"file_tokens": "integer"})
        steps.add_constraint("models", "ck_models_file_tokens_not_negative", "CHECK (file_tokens >= 0)")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_models_file_tokens_not_negative"), "models")
    op.drop_column("models", "file_tokens")
    op.drop_index("ix_messages_in_force")
    op.drop_column("messages", "superseded_by")
