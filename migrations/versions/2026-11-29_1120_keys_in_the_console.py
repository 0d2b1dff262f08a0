"""Keys have a description, are kept encrypted until they are shown, and their requests are counted by an index."""

from alembic import op

from migrations import steps

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_CREATE_UNSHOWN = """
CREATE TABLE IF NOT EXISTS unshown_api_keys (
    api_key_id text NOT NULL CONSTRAINT pk_unshown_api_keys PRIMARY KEY
        CONSTRAINT fk_unshown_api_keys_api_key_id_api_keys REFERENCES api_keys,
    user_id text NOT NULL CONSTRAINT fk_unshown_api_keys_user_id_users REFERENCES users,
    token_hash bytea NOT NULL CONSTRAINT uq_unshown_api_keys_token_hash UNIQUE,
    sealed bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    CONSTRAINT ck_unshown_api_keys_token_hash_is_sha256 CHECK (octet_length(token_hash) = 32)
)
"""
_INDEXES = {
    "ix_api_keys_newest": "ON api_keys (organization_id, created_at, id)",
    # A key's requests are counted from it without reading a row.
    "ix_ledger_entries_requests": (
        "ON ledger_entries (api_key_id, created_at) INCLUDE (kind)"
        " WHERE starts_with(reference, 'turn:') OR starts_with(reference, 'superseded:turn:')"
    ),
}


def upgrade() -> None:
    with steps.online():
        steps.add_columns("api_keys", {"description": "text NOT NULL DEFAULT ''"})
        steps.add_constraint("api_keys", "ck_api_keys_description_length", "CHECK (char_length(description) <= 300)")
        # A table without rows needs nobody's patience.
        steps.alter(
            ("api_keys", "users"),
            _CREATE_UNSHOWN,
            "CREATE INDEX IF NOT EXISTS ix_unshown_api_keys_expires_at ON unshown_api_keys (expires_at)",
        )
        for name, definition in _INDEXES.items():
            steps.create_index(name, definition)


def downgrade() -> None:
    op.drop_table("unshown_api_keys")
    op.execute("DROP INDEX ix_ledger_entries_requests")
    op.execute("DROP INDEX ix_api_keys_newest")
    op.drop_constraint("ck_api_keys_description_length", "api_keys")
    op.drop_column("api_keys", "description")
