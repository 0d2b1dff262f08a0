"""What the fields of an image request are to a model of the catalog.

A process of the version before does not read the column.
"""

from alembic import op

from migrations import steps

revision = "0039"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with steps.online():
        steps.add_columns("models", {"images": "jsonb"})


def downgrade() -> None:
    op.drop_column("models", "images")
