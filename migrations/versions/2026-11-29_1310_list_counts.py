"""How many rows the lists have, counted as they change, and indexes from which any page of a list is found."""

from alembic import op

from migrations import steps

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_CREATE_COUNTS = """
CREATE TABLE IF NOT EXISTS list_counts (
    organization_id text NOT NULL,
    list text NOT NULL,
    user_id text NOT NULL,
    status text NOT NULL,
    content_type text NOT NULL,
    total bigint NOT NULL,
    CONSTRAINT pk_list_counts PRIMARY KEY (organization_id, list, user_id, status, content_type)
) WITH (fillfactor = 50)
"""
# Rows come and go all the time: VACUUM must not wait until a share of the table has gone.
_CREATE_CHANGES = """
CREATE TABLE IF NOT EXISTS list_count_changes (
    organization_id text NOT NULL,
    id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    list text NOT NULL,
    user_id text NOT NULL,
    status text NOT NULL,
    content_type text NOT NULL,
    change bigint NOT NULL,
    CONSTRAINT pk_list_count_changes PRIMARY KEY (organization_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 20000)
"""
_COLUMNS = "organization_id, list, user_id, status, content_type"

# One function for each table: what its rows are told apart by, of a table or of a row.
_FUNCTION = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO list_count_changes ({columns}, change)
        SELECT {of_table}, count(*) FROM added GROUP BY 1, 3, 4, 5;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO list_count_changes ({columns}, change)
        SELECT {of_table}, -count(*) FROM removed GROUP BY 1, 3, 4, 5;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO list_count_changes ({columns}, change) VALUES ({old}, -1), ({new}, 1);
    ELSE
        INSERT INTO list_count_changes ({columns}, change)
        SELECT {columns}, -sum(n) FROM (
            SELECT {columns}, total AS n FROM list_counts WHERE list = '{list}'
            UNION ALL
            SELECT {columns}, change FROM list_count_changes WHERE list = '{list}'
        ) counted GROUP BY 1, 2, 3, 4, 5;
    END IF;
    RETURN NULL;
END
$$
"""
_PARTS = {
    "generations": ("content", "''", "{0}status", "coalesce({0}content_type, '')"),
    "sessions": ("sessions", "{0}user_id", "''", "''"),
}
_CHANGING = {"generations": "organization_id, status, content_type", "sessions": "organization_id, user_id"}


def _function(table: str) -> str:
    name, *parts = _PARTS[table]

    def values(row: str) -> str:
        return f"{row}organization_id, '{name}', " + ", ".join(part.format(row) for part in parts)

    names = {"name": f"count_{name}", "list": name, "columns": _COLUMNS}
    return _FUNCTION.format(**names, of_table=values(""), old=values("OLD."), new=values("NEW."))


def _triggers(table: str) -> list[str]:
    """What keeps the counts of a table.

    One call for a statement that inserts or deletes, however many rows it has. Updates are many, and few of them change
    a count, so that their trigger is asked only for rows which do; Postgres allows that for triggers of rows alone.
    """
    function = f"EXECUTE FUNCTION count_{_PARTS[table][0]}()"
    columns = _CHANGING[table].split(", ")
    differs = " OR ".join(f"OLD.{column} IS DISTINCT FROM NEW.{column}" for column in columns)
    made = {
        "added": "AFTER INSERT ON {0} REFERENCING NEW TABLE AS added FOR EACH STATEMENT",
        "removed": "AFTER DELETE ON {0} REFERENCING OLD TABLE AS removed FOR EACH STATEMENT",
        "changed": f"AFTER UPDATE OF {_CHANGING[table]} ON {{0}} FOR EACH ROW WHEN ({differs})",
        "emptied": "AFTER TRUNCATE ON {0} FOR EACH STATEMENT",
    }
    return [
        f"CREATE OR REPLACE TRIGGER {table}_count_{suffix} {when.format(table)} {function}"
        for suffix, when in made.items()
    ]


# The same lock, and the same statement, as in app/list_counts/repository.py.
_LOCK = "SELECT pg_advisory_xact_lock(74710003)"
# Of one snapshot: what there is, less what is counted. It is right whoever writes meanwhile, because each change that
# this snapshot does not have yet is counted by its own transaction; and once it is committed there is nothing to add.
_COUNT = f"""
INSERT INTO list_count_changes ({_COLUMNS}, change)
SELECT {_COLUMNS}, sum(n) FROM (
    SELECT organization_id, 'content' AS list, '' AS user_id, status, coalesce(content_type, '') AS content_type,
           count(*) AS n FROM generations GROUP BY 1, 4, 5
    UNION ALL
    SELECT organization_id, 'sessions', user_id, '', '', count(*) FROM sessions GROUP BY 1, 3
    UNION ALL
    SELECT {_COLUMNS}, -total FROM list_counts
    UNION ALL
    SELECT {_COLUMNS}, -change FROM list_count_changes
) differences GROUP BY 1, 2, 3, 4, 5 HAVING sum(n) <> 0
"""

# They replace the three that are dropped: the order is complete, and the status is there without the row.
_INDEXES = {
    "ix_generations_typed": (
        "ON generations (organization_id, content_type, created_at DESC, id DESC) INCLUDE (status)"
        " WHERE content_type IS NOT NULL"
    ),
    "ix_generations_completed": (
        "ON generations (organization_id, created_at DESC, id DESC) WHERE status = 'completed'"
    ),
    "ix_sessions_of_key": ("ON sessions (api_key_id, last_update_time DESC, id DESC) WHERE api_key_id IS NOT NULL"),
    "ix_sessions_of_user": "ON sessions (organization_id, user_id, last_update_time DESC, id DESC)",
}
_REPLACED = {
    "ix_generations_type": (
        "ON generations (organization_id, content_type, created_at DESC, id DESC) WHERE content_type IS NOT NULL"
    ),
    "ix_sessions_key": "ON sessions (api_key_id, last_update_time DESC) WHERE api_key_id IS NOT NULL",
    "ix_sessions_listing": "ON sessions (organization_id, user_id, last_update_time DESC)",
}
# An index alone answers for pages that VACUUM has marked, and the newest rows are those that lists begin with.
_VACUUM = "(autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.01)"
_VACUUMED = ("generations", "sessions", "messages")


def upgrade() -> None:
    with steps.online():
        steps.alter((), _CREATE_COUNTS, _CREATE_CHANGES)
        for table in _PARTS:
            # Nobody writes to the table while its triggers are made: each row is there before them, or counted by them.
            steps.alter((table,), _function(table), *_triggers(table))
        steps.alter((), _LOCK, _COUNT)
        for name, definition in _INDEXES.items():
            steps.create_index(name, definition)
        for name in _REPLACED:
            steps.drop_index(name)
        for table in _VACUUMED:
            steps.alter((table,), f"ALTER TABLE {table} SET {_VACUUM}")


def downgrade() -> None:
    for table in _VACUUMED:
        op.execute(f"ALTER TABLE {table} RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_insert_scale_factor)")
    for name, definition in _REPLACED.items():
        op.execute(f"CREATE INDEX {name} {definition}")
    for name in _INDEXES:
        op.drop_index(name)
    for table, (name, *_) in _PARTS.items():
        for suffix in ("added", "removed", "changed", "emptied"):
            op.execute(f"DROP TRIGGER {table}_count_{suffix} ON {table}")
        op.execute(f"DROP FUNCTION count_{name}()")
    op.drop_table("list_count_changes")
    op.drop_table("list_counts")
