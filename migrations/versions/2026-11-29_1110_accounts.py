"""Who signs in to the console: sessions, attempts, one-time links, invitations; viewers, and suspended members."""

from alembic import op

from migrations import steps

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_TABLES = (
    """
CREATE TABLE IF NOT EXISTS console_sessions (
    id text NOT NULL CONSTRAINT pk_console_sessions PRIMARY KEY,
    user_id text NOT NULL CONSTRAINT fk_console_sessions_user_id_users REFERENCES users,
    token_hash bytea NOT NULL CONSTRAINT uq_console_sessions_token_hash UNIQUE,
    device_hash bytea NOT NULL,
    organization_id text CONSTRAINT fk_console_sessions_organization_id_organizations REFERENCES organizations,
    address text NOT NULL,
    user_agent text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT ck_console_sessions_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32),
    CONSTRAINT ck_console_sessions_device_hash_is_sha256 CHECK (octet_length(device_hash) = 32)
)
""",
    "CREATE INDEX IF NOT EXISTS ix_console_sessions_user_id_device_hash ON console_sessions (user_id, device_hash)",
    "CREATE INDEX IF NOT EXISTS ix_console_sessions_listing ON console_sessions (user_id, last_seen_at DESC)",
    "CREATE INDEX IF NOT EXISTS ix_console_sessions_created_at ON console_sessions (created_at)",
    """
CREATE TABLE IF NOT EXISTS sign_in_attempts (
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_sign_in_attempts PRIMARY KEY,
    email_hash bytea NOT NULL,
    address text NOT NULL,
    device_hash bytea NOT NULL,
    has_succeeded boolean NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
""",
    "CREATE INDEX IF NOT EXISTS ix_sign_in_attempts_email_hash_at ON sign_in_attempts (email_hash, at)",
    "CREATE INDEX IF NOT EXISTS ix_sign_in_attempts_address_at ON sign_in_attempts (address, at)",
    "CREATE INDEX IF NOT EXISTS ix_sign_in_attempts_at ON sign_in_attempts (at)",
    """
CREATE TABLE IF NOT EXISTS one_time_links (
    token_hash bytea NOT NULL CONSTRAINT pk_one_time_links PRIMARY KEY,
    user_id text NOT NULL CONSTRAINT fk_one_time_links_user_id_users REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT ck_one_time_links_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32)
)
""",
    "CREATE INDEX IF NOT EXISTS ix_one_time_links_user_id ON one_time_links (user_id)",
    """
CREATE TABLE IF NOT EXISTS invitations (
    id text NOT NULL CONSTRAINT pk_invitations PRIMARY KEY,
    organization_id text NOT NULL CONSTRAINT fk_invitations_organization_id_organizations REFERENCES organizations,
    email text NOT NULL,
    role text NOT NULL,
    token_hash bytea NOT NULL CONSTRAINT uq_invitations_token_hash UNIQUE,
    invited_by text NOT NULL CONSTRAINT fk_invitations_invited_by_users REFERENCES users,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    accepted_at timestamptz,
    withdrawn_at timestamptz,
    CONSTRAINT ck_invitations_role_known CHECK (role IN ('owner', 'admin', 'member', 'viewer')),
    CONSTRAINT ck_invitations_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32)
)
""",
    (
        "CREATE UNIQUE INDEX IF NOT EXISTS uq_invitations_open ON invitations (organization_id, lower(email))"
        " WHERE accepted_at IS NULL AND withdrawn_at IS NULL"
    ),
)

# Keys of members who are suspended, removed or given another role are looked up again at once in every process.
_TRIGGER = (
    "DROP TRIGGER IF EXISTS memberships_notify_callers ON memberships",
    (
        "CREATE TRIGGER memberships_notify_callers AFTER UPDATE OF suspended_at, role OR DELETE ON memberships"
        " FOR EACH STATEMENT EXECUTE FUNCTION notify_callers()"
    ),
)


def upgrade() -> None:
    with steps.online():
        steps.add_columns("users", {"name": "text", "is_operator": "boolean NOT NULL DEFAULT false"})
        steps.add_columns("memberships", {"suspended_at": "timestamptz"})
        # The wider condition has another name, so that a run that was interrupted knows which of them is there.
        steps.add_constraint(
            "memberships", "ck_memberships_role_is_known", "CHECK (role IN ('owner', 'admin', 'member', 'viewer'))"
        )
        steps.alter(("memberships",), "ALTER TABLE memberships DROP CONSTRAINT IF EXISTS ck_memberships_role_known")
        steps.alter(("memberships",), *_TRIGGER)
        # Tables without rows need nobody's patience.
        steps.alter(("organizations", "users"), *_TABLES)


def downgrade() -> None:
    for table in ("invitations", "one_time_links", "sign_in_attempts", "console_sessions"):
        op.drop_table(table)
    op.execute("DROP TRIGGER memberships_notify_callers ON memberships")
    op.execute("UPDATE memberships SET role = 'member' WHERE role = 'viewer'")
    op.drop_constraint("ck_memberships_role_is_known", "memberships")
    op.create_check_constraint("role_known", "memberships", "role IN ('owner', 'admin', 'member')")
    op.drop_column("memberships", "suspended_at")
    op.drop_column("users", "is_operator")
    op.drop_column("users", "name")
