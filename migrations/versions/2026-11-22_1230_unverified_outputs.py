"""What failed attempts left in the store is found among the outputs that were never verified."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A copy that was done after its attempt had failed was written down as verified.
    op.execute(
        """
        UPDATE content_outputs o SET size_bytes = NULL, sha256 = NULL FROM generated_content c
        WHERE c.id = o.content_id AND o.size_bytes IS NOT NULL
          AND (o.attempt < c.retry_count OR o.attempt = c.retry_count AND c.status = 'failed')
        """
    )
    op.create_index(
        "ix_content_outputs_unverified",
        "content_outputs",
        ["content_id", "attempt", "position"],
        postgresql_where=sa.text("size_bytes IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_content_outputs_unverified", table_name="content_outputs")
