"""Idempotency-Keys of users, in a table beside that of the organizations' keys, which the version before uses."""

from alembic import op

from migrations import steps

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_CREATE = """
CREATE TABLE IF NOT EXISTS user_idempotency_keys (
    organization_id text NOT NULL
        CONSTRAINT fk_user_idempotency_keys_organization_id_organizations REFERENCES organizations,
    user_id text NOT NULL CONSTRAINT fk_user_idempotency_keys_user_id_users REFERENCES users,
    route text NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    claim_id text NOT NULL,
    hold_reference text,
    former_hold_reference text,
    lease_until timestamptz,
    response json,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    CONSTRAINT pk_user_idempotency_keys PRIMARY KEY (organization_id, route, key, user_id),
    CONSTRAINT ck_user_idempotency_keys_request_hash_is_sha256 CHECK (octet_length(request_hash) = 32),
    CONSTRAINT ck_user_idempotency_keys_leased_or_stored CHECK ((lease_until IS NULL) = (response IS NOT NULL))
)
"""
_INDEX = "CREATE INDEX IF NOT EXISTS ix_user_idempotency_keys_expires_at ON user_idempotency_keys (expires_at)"


def upgrade() -> None:
    with steps.online():
        # A table without rows needs nobody's patience.
        steps.alter(("organizations", "users"), _CREATE, _INDEX)


def downgrade() -> None:
    op.drop_table("user_idempotency_keys")
