"""What the fields of a request for speech are to a model of the catalog.

A process of the version before does not read the column.
"""

from alembic import op

from migrations import steps

revision = "0048"
down_revision = "0047"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with steps.online():
        steps.add_columns("models", {"speech": "jsonb"})


def downgrade() -> None:
    op.drop_column("models", "speech")
