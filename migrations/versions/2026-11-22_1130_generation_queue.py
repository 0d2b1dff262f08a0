"""Generations that wait for their organization, put-off steps, and the vendor's call back."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generated_content", sa.Column("setbacks", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("generated_content", sa.Column("is_queued", sa.Boolean(), nullable=False, server_default="false"))
    # Rows that exist get a nonce that nobody knows and no webhook names.
    op.add_column(
        "generated_content",
        sa.Column("webhook_nonce", sa.Text(), nullable=False, server_default=sa.text("gen_random_uuid()::text")),
    )
    for name in ("setbacks", "is_queued", "webhook_nonce"):
        op.alter_column("generated_content", name, server_default=None)
    op.create_index(
        "ix_generated_content_running",
        "generated_content",
        ["organization_id", "created_at"],
        postgresql_where=sa.text("status IN ('pending', 'processing')"),
    )


def downgrade() -> None:
    op.drop_index("ix_generated_content_running", table_name="generated_content")
    for name in ("webhook_nonce", "is_queued", "setbacks"):
        op.drop_column("generated_content", name)
