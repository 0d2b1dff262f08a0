"""The key of the ledger begins with the organization.

Whatever reads the ledger in the order of its ids reads that of one organization. As long as there was an index of the
ids of all, Postgres could choose it, and then passed over whatever others had entered since. One index instead of two:
an entry costs less, too.
"""

from alembic import op

from migrations import steps

revision = "0043"
down_revision = "0036"
branch_labels = None
depends_on = None

_NEXT = "uq_ledger_entries_next_key"
_COLUMNS = "SELECT cardinality(conkey) FROM pg_constraint WHERE conname = 'pk_ledger_entries'"


def upgrade() -> None:
    with steps.online():
        if steps.value(_COLUMNS) != 2:
            steps.create_index(_NEXT, "ON ledger_entries (organization_id, id)", unique=True)
            steps.alter(
                ("ledger_entries",),
                "ALTER TABLE ledger_entries DROP CONSTRAINT pk_ledger_entries,"
                f" ADD CONSTRAINT pk_ledger_entries PRIMARY KEY USING INDEX {_NEXT}",
            )
        steps.drop_index("ix_ledger_entries_organization")


def downgrade() -> None:
    op.execute(
        "ALTER TABLE ledger_entries DROP CONSTRAINT pk_ledger_entries, ADD CONSTRAINT pk_ledger_entries"
        " PRIMARY KEY (id)"
    )
    op.execute("CREATE INDEX ix_ledger_entries_organization ON ledger_entries (organization_id, id)")
