"""Refuse NaN, which Postgres takes for larger than every number, wherever credits are kept."""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_RULES = {
    "credit_accounts": "balance < 'NaN' AND held < 'NaN'",
    "credit_holds": "amount < 'NaN'",
    "ledger_entries": "amount < 'NaN' AND balance_after < 'NaN'",
}


def upgrade() -> None:
    for table, rule in _RULES.items():
        op.create_check_constraint(op.f(f"ck_{table}_is_number"), table, rule)


def downgrade() -> None:
    for table in _RULES:
        op.drop_constraint(op.f(f"ck_{table}_is_number"), table, type_="check")
