"""What one image may count for at most, of the chat models that know better than the operator's setting."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("models", sa.Column("image_tokens", sa.Integer()))
    op.create_check_constraint(op.f("ck_models_image_tokens_not_negative"), "models", "image_tokens >= 0")


def downgrade() -> None:
    op.drop_constraint(op.f("ck_models_image_tokens_not_negative"), "models")
    op.drop_column("models", "image_tokens")
