"""Messages keep the fields that a model has added to them, such as signed reasoning, and their length."""

from alembic import op

from migrations import steps

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with steps.online():
        steps.add_columns("messages", {"additions": "jsonb", "additions_bytes": "integer"})


def downgrade() -> None:
    for column in ("additions_bytes", "additions"):
        op.drop_column("messages", column)
