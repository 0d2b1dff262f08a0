"""What a turn asked for is found again when the turn's request is repeated."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("generated_content", sa.Column("request_key", sa.LargeBinary()))
    op.create_index(
        "ix_generated_content_request_key",
        "generated_content",
        ["request_key"],
        postgresql_where=sa.text("request_key IS NOT NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_generated_content_request_key", table_name="generated_content")
    op.drop_column("generated_content", "request_key")
