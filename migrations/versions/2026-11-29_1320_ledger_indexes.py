"""The ledger's indexes: two narrower ones instead of six.

The console lists entries by their ids. What its indexes by time, agent, model and request were for is found along those
that are left: see docs/adr/0028-flat-lists.md. The console of the version before, which asks for an order by
time, is slower on a large ledger until it is replaced; the API and the workers read none of them.
"""

from alembic import op

from migrations import steps

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

_NARROWER = {
    "ix_ledger_entries_spender": "ON ledger_entries (organization_id, user_id, id) WHERE user_id IS NOT NULL",
    "ix_ledger_entries_uncharged": "ON ledger_entries (organization_id, id) WHERE kind <> 'charge'",
}
_DROPPED = {
    "ix_ledger_entries_created": "(organization_id, created_at, id)",
    "ix_ledger_entries_user": "(organization_id, user_id, created_at, id) WHERE user_id IS NOT NULL",
    "ix_ledger_entries_agent": "(organization_id, agent, created_at, id) WHERE agent IS NOT NULL",
    "ix_ledger_entries_model": "(organization_id, model, created_at, id) WHERE model IS NOT NULL",
    "ix_ledger_entries_request": "(request_id, created_at, id) WHERE request_id IS NOT NULL",
    "ix_ledger_entries_given": "(organization_id, created_at, id) WHERE kind <> 'charge'",
}


def upgrade() -> None:
    with steps.online():
        for name, definition in _NARROWER.items():
            steps.create_index(name, definition)
        for name in _DROPPED:
            steps.drop_index(name)


def downgrade() -> None:
    for name, definition in _DROPPED.items():
        op.execute(f"CREATE INDEX {name} ON ledger_entries {definition}")
    for name in _NARROWER:
        op.drop_index(name)
