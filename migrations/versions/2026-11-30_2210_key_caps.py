"""The most credits that a key may spend in a month, and what it has spent and holds.

They are counted by triggers, which run with the account locked, as whatever holds or charges locks it first. So they
see everything that was held and charged before, and code of the version before counts, too.
"""

from alembic import op

from migrations import steps

revision = "0047"
down_revision = "0046"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE IF NOT EXISTS key_spend (
    api_key_id text NOT NULL CONSTRAINT fk_key_spend_api_key_id_api_keys REFERENCES api_keys,
    organization_id text NOT NULL CONSTRAINT fk_key_spend_organization_id_organizations REFERENCES organizations,
    held numeric(18, 6) NOT NULL,
    month date NOT NULL,
    spent numeric(18, 6) NOT NULL,
    CONSTRAINT pk_key_spend PRIMARY KEY (api_key_id),
    CONSTRAINT ck_key_spend_held_not_negative CHECK (held >= 0 AND held < 'NaN' AND spent < 'NaN')
)
"""
_MONTH = "date_trunc('month', {} AT TIME ZONE 'UTC')::date"

# Each change of a key's limit counts anew.
_BEGIN = f"""
CREATE OR REPLACE FUNCTION begin_key_spend() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    this_month date := {_MONTH.format("now()")};
BEGIN
    PERFORM FROM credit_accounts WHERE organization_id = NEW.organization_id FOR UPDATE;
    INSERT INTO key_spend AS s (api_key_id, organization_id, held, month, spent)
    SELECT NEW.id, NEW.organization_id,
           (SELECT coalesce(sum(amount), 0) FROM credit_holds
            WHERE organization_id = NEW.organization_id AND api_key_id = NEW.id AND state = 'open'),
           this_month,
           (SELECT coalesce(-sum(amount), 0) FROM ledger_entries
            WHERE organization_id = NEW.organization_id AND api_key_id = NEW.id
              AND created_at >= this_month::timestamp AT TIME ZONE 'UTC'
              AND created_at < (this_month + interval '1 month') AT TIME ZONE 'UTC')
    ON CONFLICT (api_key_id) DO UPDATE SET held = excluded.held, month = excluded.month, spent = excluded.spent;
    RETURN NULL;
END
$$
"""

_COUNT_HOLD = f"""
CREATE OR REPLACE FUNCTION count_key_hold() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    this_month date := {_MONTH.format("now()")};
    added numeric := CASE WHEN NEW.state = 'open' THEN NEW.amount ELSE 0 END;
    taken numeric;
    most numeric;
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.state = 'open' THEN
        added := added - OLD.amount;
    END IF;
    IF added = 0 THEN
        RETURN NULL;
    END IF;
    UPDATE key_spend SET held = held + added WHERE api_key_id = NEW.api_key_id
    RETURNING held + CASE WHEN month < this_month THEN 0 ELSE spent END INTO taken;
    IF NOT FOUND OR added < 0 THEN
        RETURN NULL;
    END IF;
    SELECT monthly_credits INTO most FROM api_keys WHERE id = NEW.api_key_id;
    IF taken > most THEN
        RAISE EXCEPTION 'the monthly cap of the key is reached' USING ERRCODE = 'JK402',
            DETAIL = format('%s %s %s', most, GREATEST(most - taken + added, 0),
                            to_char(this_month + interval '1 month', 'YYYY-MM-DD'));
    END IF;
    RETURN NULL;
END
$$
"""

_COUNT_ENTRY = f"""
CREATE OR REPLACE FUNCTION count_key_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    its_month date := {_MONTH.format("NEW.created_at")};
BEGIN
    UPDATE key_spend
    SET spent = CASE WHEN month < its_month THEN 0 ELSE spent END - NEW.amount, month = its_month
    WHERE api_key_id = NEW.api_key_id AND month <= its_month;
    RETURN NULL;
END
$$
"""

_TRIGGERS = {
    "api_keys_begin_spend_new": (
        "api_keys",
        "AFTER INSERT ON api_keys FOR EACH ROW WHEN (NEW.monthly_credits IS NOT NULL)",
        "begin_key_spend",
    ),
    "api_keys_begin_spend": (
        "api_keys",
        "AFTER UPDATE OF monthly_credits ON api_keys FOR EACH ROW WHEN (NEW.monthly_credits IS NOT NULL)",
        "begin_key_spend",
    ),
    "credit_holds_count_key": (
        "credit_holds",
        "AFTER INSERT OR UPDATE OF amount, state ON credit_holds FOR EACH ROW WHEN (NEW.api_key_id IS NOT NULL)",
        "count_key_hold",
    ),
    "ledger_entries_count_key": (
        "ledger_entries",
        "AFTER INSERT ON ledger_entries FOR EACH ROW WHEN (NEW.api_key_id IS NOT NULL)",
        "count_key_entry",
    ),
}


def upgrade() -> None:
    with steps.online():
        steps.add_columns("api_keys", {"monthly_credits": "numeric(18, 6)"})
        steps.add_constraint(
            "api_keys",
            "ck_api_keys_monthly_credits_positive",
            "CHECK (monthly_credits > 0 AND monthly_credits < 'NaN')",
        )
        steps.alter(("api_keys", "organizations"), _TABLE)
        for function in (_BEGIN, _COUNT_HOLD, _COUNT_ENTRY):
            op.execute(function)
        for name, (table, when, function) in _TRIGGERS.items():
            steps.alter((table,), f"CREATE OR REPLACE TRIGGER {name} {when} EXECUTE FUNCTION {function}()")


def downgrade() -> None:
    for name, (table, _, _) in _TRIGGERS.items():
        op.execute(f"DROP TRIGGER IF EXISTS {name} ON {table}")
    for function in ("begin_key_spend", "count_key_hold", "count_key_entry"):
        op.execute(f"DROP FUNCTION IF EXISTS {function}()")
    op.execute("DROP TABLE IF EXISTS key_spend")
    op.execute("ALTER TABLE api_keys DROP COLUMN IF EXISTS monthly_credits")
