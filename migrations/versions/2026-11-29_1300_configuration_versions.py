"""Count the changes of agents and of the catalog, and tell every process of them, so that these may remember both."""

from alembic import op

from migrations import steps

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

_CREATE_VERSIONS = """
CREATE TABLE IF NOT EXISTS configuration_versions (
    organization_id text NOT NULL CONSTRAINT pk_configuration_versions PRIMARY KEY,
    version bigint NOT NULL,
    CONSTRAINT ck_configuration_versions_version_positive CHECK (version > 0)
)
"""

# They run with the rights of the tables' owner: nobody else has to be able to change the versions.
_COUNT = """
CREATE OR REPLACE FUNCTION count_configuration_change(changed text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path FROM CURRENT AS $$
    INSERT INTO configuration_versions AS v (organization_id, version) VALUES (changed, 1)
    ON CONFLICT (organization_id) DO UPDATE SET version = v.version + 1;
    SELECT pg_notify('junis_configurations', '')
$$
"""
_COUNT_AGENT = """
CREATE OR REPLACE FUNCTION count_agent_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    IF TG_OP <> 'DELETE' THEN
        PERFORM count_configuration_change(NEW.organization_id);
    END IF;
    IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR OLD.organization_id <> NEW.organization_id) THEN
        PERFORM count_configuration_change(OLD.organization_id);
    END IF;
    RETURN NULL;
END
$$
"""
# Of a link that goes with its agent, the agent's own row counts.
_COUNT_LINK = """
CREATE OR REPLACE FUNCTION count_sub_agent_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM count_configuration_change(organization_id) FROM agents
    WHERE id IN (CASE WHEN TG_OP <> 'DELETE' THEN NEW.agent_id END, CASE WHEN TG_OP <> 'INSERT' THEN OLD.agent_id END)
    GROUP BY organization_id;
    RETURN NULL;
END
$$
"""
_COUNT_CATALOG = """
CREATE OR REPLACE FUNCTION count_catalog_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM count_configuration_change('');
    RETURN NULL;
END
$$
"""

# The tables, and what counts a change of each: of one row, or of all that one statement changes.
_TRIGGERS = {
    "agents": "FOR EACH ROW EXECUTE FUNCTION count_agent_change()",
    "sub_agents": "FOR EACH ROW EXECUTE FUNCTION count_sub_agent_change()",
    "models": "FOR EACH STATEMENT EXECUTE FUNCTION count_catalog_change()",
    "prices": "FOR EACH STATEMENT EXECUTE FUNCTION count_catalog_change()",
}
_FUNCTIONS = ("count_agent_change()", "count_sub_agent_change()", "count_catalog_change()")


def upgrade() -> None:
    with steps.online():
        steps.alter((), _CREATE_VERSIONS, _COUNT, _COUNT_AGENT, _COUNT_LINK, _COUNT_CATALOG)
        for table, counting in _TRIGGERS.items():
            steps.alter(
                (table,),
                f"CREATE OR REPLACE TRIGGER {table}_count_changes"
                f" AFTER INSERT OR UPDATE OR DELETE ON {table} {counting}",
            )


def downgrade() -> None:
    for table in _TRIGGERS:
        op.execute(f"DROP TRIGGER {table}_count_changes ON {table}")
    for function in (*_FUNCTIONS, "count_configuration_change(text)"):
        op.execute(f"DROP FUNCTION {function}")
    op.drop_table("configuration_versions")
