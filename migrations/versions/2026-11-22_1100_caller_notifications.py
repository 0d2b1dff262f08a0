"""Tell every process at once when a key, an organization or a plan changes."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_NOTIFY = """
CREATE FUNCTION notify_callers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('junis_callers', '');
    RETURN NULL;
END
$$
"""

# What a process remembers of a caller; `last_used_at` is not among it.
_REMEMBERED = {
    "api_keys": "revoked_at, expires_at, scopes, requests_per_minute, requests_per_hour",
    "organizations": "plan_name, subscription_status",
    "plans": "requests_per_minute, concurrent_requests",
}


def upgrade() -> None:
    op.add_column("api_keys", sa.Column("rotated_to", sa.Text(), nullable=True))
    op.create_foreign_key(op.f("fk_api_keys_rotated_to_api_keys"), "api_keys", "api_keys", ["rotated_to"], ["id"])
    op.execute(_NOTIFY)
    for table, columns in _REMEMBERED.items():
        op.execute(
            f"CREATE TRIGGER {table}_notify_callers AFTER UPDATE OF {columns} OR DELETE ON {table}"
            " FOR EACH STATEMENT EXECUTE FUNCTION notify_callers()"
        )


def downgrade() -> None:
    for table in _REMEMBERED:
        op.execute(f"DROP TRIGGER {table}_notify_callers ON {table}")
    op.execute("DROP FUNCTION notify_callers()")
    op.drop_constraint(op.f("fk_api_keys_rotated_to_api_keys"), "api_keys", type_="foreignkey")
    op.drop_column("api_keys", "rotated_to")
