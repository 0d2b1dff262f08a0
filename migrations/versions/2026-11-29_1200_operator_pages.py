"""Indexes for what operators look at: the failures of a day, and what all organizations have spent in a month."""

from alembic import op

from migrations import steps

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with steps.online():
        steps.create_index("ix_attempts_failed", "ON attempts (ended_at) WHERE ending = 'failed'")
        steps.create_index("ix_spend_days_day", "ON spend_days (day, model)")


def downgrade() -> None:
    op.drop_index("ix_spend_days_day", "spend_days")
    op.drop_index("ix_attempts_failed", "attempts")
