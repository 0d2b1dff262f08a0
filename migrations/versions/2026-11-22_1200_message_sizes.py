"""How large a message is, for what is loaded and shown at once to be bounded."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "messages",
        sa.Column(
            "size_bytes",
            sa.Integer(),
            sa.Computed("coalesce(octet_length(content::text), 0) + coalesce(octet_length(tool_calls::text), 0)"),
            nullable=False,
        ),
    )


def downgrade() -> None:
    op.drop_column("messages", "size_bytes")
