"""Parked generations outside the queue's index; a stored response instead of an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_UNENDED = "status IN ('pending', 'processing')"


def upgrade() -> None:
    for name in ("due", "running"):
        op.drop_index(f"ix_generated_content_{name}", table_name="generated_content")
    op.alter_column("generated_content", "is_queued", new_column_name="is_parked")
    _index("session", ["session_id"], _UNENDED)
    _index("due", ["due_at"], f"{_UNENDED} AND NOT is_parked")
    _index("deadline", ["deadline_at"], _UNENDED)
    _index("active", ["organization_id"], f"{_UNENDED} AND NOT is_parked")
    _index("parked", ["organization_id", "created_at"], "status = 'pending' AND is_parked")
    op.alter_column("idempotency_keys", "answer", new_column_name="response")
    op.execute(
        "ALTER TABLE idempotency_keys RENAME CONSTRAINT ck_idempotency_keys_leased_or_answered"
        " TO ck_idempotency_keys_leased_or_stored"
    )


def downgrade() -> None:
    op.execute(
        "ALTER TABLE idempotency_keys RENAME CONSTRAINT ck_idempotency_keys_leased_or_stored"
        " TO ck_idempotency_keys_leased_or_answered"
    )
    op.alter_column("idempotency_keys", "response", new_column_name="answer")
    for name in ("parked", "active", "deadline", "due", "session"):
        op.drop_index(f"ix_generated_content_{name}", table_name="generated_content")
    op.alter_column("generated_content", "is_parked", new_column_name="is_queued")
    _index("due", ["due_at"], _UNENDED)
    _index("running", ["organization_id", "created_at"], _UNENDED)


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(f"ix_generated_content_{name}", "generated_content", columns, postgresql_where=sa.text(where))
