"""Versions of agents. Those that exist get their first one when it is needed: no agent is read here."""

from alembic import op

from migrations import steps

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_CREATE = """
CREATE TABLE IF NOT EXISTS agent_versions (
    agent_id text NOT NULL,
    version integer NOT NULL,
    organization_id text NOT NULL CONSTRAINT fk_agent_versions_organization_id_organizations REFERENCES organizations,
    definition jsonb NOT NULL,
    event text NOT NULL,
    restored_from integer,
    actor_kind text NOT NULL,
    actor_id text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_agent_versions PRIMARY KEY (agent_id, version),
    CONSTRAINT ck_agent_versions_version_positive CHECK (version > 0),
    CONSTRAINT ck_agent_versions_event_known
        CHECK (event IN ('created', 'changed', 'imported', 'restored', 'deleted', 'found'))
)
"""
_REFUSE_CHANGE = """
CREATE OR REPLACE FUNCTION refuse_agent_version_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'versions of agents are only ever added';
END
$$
"""
_APPEND_ONLY = """
CREATE OR REPLACE TRIGGER agent_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON agent_versions
FOR EACH STATEMENT EXECUTE FUNCTION refuse_agent_version_change()
"""


def upgrade() -> None:
    with steps.online():
        # A table without rows needs nobody's patience.
        steps.alter(("organizations",), _CREATE, _REFUSE_CHANGE, _APPEND_ONLY)
        steps.add_columns("agents", {"version": "integer NOT NULL DEFAULT 1"})


def downgrade() -> None:
    op.drop_column("agents", "version")
    op.drop_table("agent_versions")
    op.execute("DROP FUNCTION refuse_agent_version_change()")
