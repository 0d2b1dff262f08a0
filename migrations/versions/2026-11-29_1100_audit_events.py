"""The log of administrative changes: who changed what, from where, append-only like the ledger."""

from alembic import op

from migrations import steps

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_CREATE = """
CREATE TABLE IF NOT EXISTS audit_events (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_audit_events PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(),
    actor_kind text NOT NULL CONSTRAINT ck_audit_events_actor_kind_known
        CHECK (actor_kind IN ('user', 'command_line', 'server')),
    actor_id text,
    organization_id text,
    event text NOT NULL,
    object_id text,
    object_name text,
    before jsonb,
    after jsonb,
    source text,
    request_id text
)
"""
_FUNCTION = """
CREATE OR REPLACE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are only ever added';
END
$$
"""
_APPEND_ONLY = """
CREATE OR REPLACE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()
"""
# All that the page can be filtered by, newest first.
_INDEXES = {
    "ix_audit_events_at": "(at, id)",
    "ix_audit_events_organization": "(organization_id, at, id)",
    "ix_audit_events_organization_event": "(organization_id, event, at, id)",
    "ix_audit_events_event": "(event, at, id)",
    "ix_audit_events_actor": "(actor_id, at, id)",
    "ix_audit_events_object": "(object_id, at, id)",
    "ix_audit_events_name": "(object_name, at, id)",
    "ix_audit_events_request": "(request_id, at, id)",
}


def upgrade() -> None:
    with steps.online():
        steps.alter(
            (),
            _CREATE,
            _FUNCTION,
            _APPEND_ONLY,
            *(f"CREATE INDEX IF NOT EXISTS {name} ON audit_events {columns}" for name, columns in _INDEXES.items()),
        )


def downgrade() -> None:
    op.drop_table("audit_events")
    op.execute("DROP FUNCTION refuse_audit_change()")
