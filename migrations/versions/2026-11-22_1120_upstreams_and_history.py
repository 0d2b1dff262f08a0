"""Chat models of named upstreams, and how much of a conversation an agent sees."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("upstream", sa.Text(), nullable=True))
    op.add_column("models", sa.Column("upstream_model", sa.Text(), nullable=True))
    op.add_column("agents", sa.Column("max_history_tokens", sa.Integer(), nullable=False, server_default="32000"))
    op.alter_column("agents", "max_history_tokens", server_default=None)
    op.create_check_constraint(op.f("ck_agents_max_history_tokens_not_negative"), "agents", "max_history_tokens >= 0")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_agents_max_history_tokens_not_negative"), "agents", type_="check")
    op.drop_column("agents", "max_history_tokens")
    op.drop_column("models", "upstream_model")
    op.drop_column("models", "upstream")
