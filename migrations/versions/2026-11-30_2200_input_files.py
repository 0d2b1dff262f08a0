"""Files that clients send for their generations, and what a request for edits is to a model of the catalog.

A process of the version before does not read the column, and neither writes nor prunes the files.
"""

from alembic import op

from migrations import steps

revision = "0046"
down_revision = "0045"
branch_labels = None
depends_on = None

_CREATE = """
CREATE TABLE IF NOT EXISTS input_files (
    id uuid NOT NULL,
    organization_id text NOT NULL CONSTRAINT fk_input_files_organization_id_organizations REFERENCES organizations,
    request_key bytea,
    media_type text NOT NULL,
    sha256 text NOT NULL CONSTRAINT ck_input_files_sha256_is_hex CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    data bytea NOT NULL,
    generation_ids uuid[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_input_files PRIMARY KEY (id)
)
"""
# Pictures are compressed already.
_STORAGE = "ALTER TABLE input_files ALTER COLUMN data SET STORAGE EXTERNAL"
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS ix_input_files_created ON input_files (created_at)",
    "CREATE INDEX IF NOT EXISTS ix_input_files_request_key ON input_files (request_key) WHERE request_key IS NOT NULL",
)
_KIND = "ck_retention_runs_kind_known"
_FORMER_KINDS = "'idempotency_keys', 'sessions', 'metering', 'webhooks'"
_KINDS = f"CHECK (kind IN ({_FORMER_KINDS}, 'input_files'))"


def upgrade() -> None:
    with steps.online():
        # The constraint locks the table that it refers to for a moment.
        steps.alter(("organizations",), _CREATE, _STORAGE, *_INDEXES)
        steps.add_columns("models", {"edits": "jsonb"})
        steps.alter(
            ("retention_runs",),
            f"ALTER TABLE retention_runs DROP CONSTRAINT IF EXISTS {_KIND}",
            f"ALTER TABLE retention_runs ADD CONSTRAINT {_KIND} {_KINDS} NOT VALID",
        )
        steps.add_constraint("retention_runs", _KIND, _KINDS)


def downgrade() -> None:
    op.drop_table("input_files")
    op.drop_column("models", "edits")
    op.execute("DELETE FROM retention_runs WHERE kind = 'input_files'")
    op.execute(f"ALTER TABLE retention_runs DROP CONSTRAINT {_KIND}")
    op.execute(f"ALTER TABLE retention_runs ADD CONSTRAINT {_KIND} CHECK (kind IN ({_FORMER_KINDS}))")
