"""The most that a hold may be charged, of what its request allows."""

from alembic import op

from migrations import steps

revision = "0044"
down_revision = "0043"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with steps.online():
        steps.add_columns("credit_holds", {"most": "numeric(18, 6)"})
        steps.add_constraint(
            "credit_holds", "ck_credit_holds_within_most", "CHECK (amount <= most AND charged <= most)"
        )


def downgrade() -> None:
    op.execute("ALTER TABLE credit_holds DROP COLUMN IF EXISTS most")
