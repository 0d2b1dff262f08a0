"""Generations under their own name; parked ones outside the queue's index; a stored response instead of an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_TABLES = {"generated_content": "generations", "content_outputs": "outputs"}
_PARKED = "ck_generations_parked_is_pending"
_PROCESSING = "status = 'processing' AND NOT is_parked"
_UNENDED = "status IN ('pending', 'processing')"
# Indexes and constraints carry the name of their table.
_RENAME = """
DO $$
DECLARE old record;
BEGIN
    FOR old IN SELECT c.conname AS name, t.relname AS owner FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid
               WHERE t.relname = '{new}' AND c.conname LIKE '%{old}%'
    LOOP
        EXECUTE format('ALTER TABLE %I RENAME CONSTRAINT %I TO %I', old.owner, old.name,
                       replace(old.name, '{old}', '{new}'));
    END LOOP;
    FOR old IN SELECT indexname AS name FROM pg_indexes WHERE tablename = '{new}' AND indexname LIKE '%{old}%'
    LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', old.name, replace(old.name, '{old}', '{new}'));
    END LOOP;
END $$
"""


def upgrade() -> None:
    for name in ("due", "running"):
        op.drop_index(f"ix_generated_content_{name}", table_name="generated_content")
    op.alter_column("generated_content", "is_queued", new_column_name="is_parked")
    op.alter_column("generated_content", "setbacks", new_column_name="failures")
    op.alter_column("content_outputs", "content_id", new_column_name="generation_id")
    for old, new in _TABLES.items():
        op.rename_table(old, new)
        op.execute(_RENAME.format(old=old, new=new))
    op.execute("UPDATE generations SET is_parked = false WHERE status <> 'pending' AND is_parked")
    op.create_check_constraint(op.f(_PARKED), "generations", "status = 'pending' OR NOT is_parked")
    _index("session", ["session_id"], _UNENDED)
    _index("pending_due", ["due_at"], "status = 'pending' AND NOT is_parked")
    _index("running_due", ["due_at"], f"{_PROCESSING} AND outcome IS NULL")
    _index("copying_due", ["due_at"], f"{_PROCESSING} AND outcome IS NOT NULL")
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
    for name in ("parked", "active", "deadline", "copying_due", "running_due", "pending_due", "session"):
        op.drop_index(f"ix_generations_{name}", table_name="generations")
    op.drop_constraint(op.f(_PARKED), "generations")
    for old, new in _TABLES.items():
        op.rename_table(new, old)
        op.execute(_RENAME.format(old=new, new=old))
    op.alter_column("content_outputs", "generation_id", new_column_name="content_id")
    op.alter_column("generated_content", "failures", new_column_name="setbacks")
    op.alter_column("generated_content", "is_parked", new_column_name="is_queued")
    for name, columns in (("due", ["due_at"]), ("running", ["organization_id", "created_at"])):
        op.create_index(
            f"ix_generated_content_{name}", "generated_content", columns, postgresql_where=sa.text(_UNENDED)
        )


def _index(name: str, columns: list[str], where: str) -> None:
    op.create_index(f"ix_generations_{name}", "generations", columns, postgresql_where=sa.text(where))
