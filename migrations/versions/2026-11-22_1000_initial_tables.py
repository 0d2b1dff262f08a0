"""Initial tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


_LEDGER_IS_APPEND_ONLY = """
CREATE FUNCTION refuse_ledger_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'ledger entries are only ever added';
END
$$
"""

_TABLES_IN_ORDER_OF_REMOVAL = (
    "content_outputs",
    "sub_agents",
    "messages",
    "generated_content",
    "sessions",
    "memberships",
    "ledger_entries",
    "credit_holds",
    "credit_accounts",
    "api_keys",
    "agents",
    "prices",
    "organizations",
    "users",
    "plans",
    "models",
)


def upgrade() -> None:
    op.create_table(
        "models",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("max_output_tokens", sa.Integer(), nullable=True),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "kind = 'generation' OR max_output_tokens IS NOT NULL", name=op.f("ck_models_chat_has_max_output_tokens")
        ),
        sa.CheckConstraint("kind IN ('chat', 'generation')", name=op.f("ck_models_kind_known")),
        sa.CheckConstraint("max_output_tokens > 0", name=op.f("ck_models_max_output_tokens_positive")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
    )
    op.create_table(
        "plans",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=False),
        sa.Column("concurrent_requests", sa.Integer(), nullable=False),
        sa.Column("concurrent_generations", sa.Integer(), nullable=False),
        sa.Column("monthly_credits", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.CheckConstraint("concurrent_generations > 0", name=op.f("ck_plans_concurrent_generations_positive")),
        sa.CheckConstraint("concurrent_requests > 0", name=op.f("ck_plans_concurrent_requests_positive")),
        sa.CheckConstraint("monthly_credits >= 0", name=op.f("ck_plans_monthly_credits_not_negative")),
        sa.CheckConstraint("requests_per_minute > 0", name=op.f("ck_plans_requests_per_minute_positive")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_plans")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
    )
    op.create_index("uq_users_email", "users", [sa.literal_column("lower(email)")], unique=True)
    op.create_table(
        "organizations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("plan_name", sa.Text(), nullable=False),
        sa.Column("subscription_status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "subscription_status IN ('active', 'inactive')", name=op.f("ck_organizations_subscription_status_known")
        ),
        sa.ForeignKeyConstraint(["plan_name"], ["plans.name"], name=op.f("fk_organizations_plan_name_plans")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organizations")),
        sa.UniqueConstraint("name", name=op.f("uq_organizations_name")),
    )
    op.create_table(
        "prices",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("model_name", sa.Text(), nullable=False),
        sa.Column("effective_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("per_call", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("per_second", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("per_output", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("per_million_prompt_tokens", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("per_million_completion_tokens", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("ceiling", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.CheckConstraint(
            "per_call >= 0 AND per_second >= 0 AND per_output >= 0"
            " AND per_million_prompt_tokens >= 0 AND per_million_completion_tokens >= 0 AND ceiling >= 0",
            name=op.f("ck_prices_not_negative"),
        ),
        sa.ForeignKeyConstraint(["model_name"], ["models.name"], name=op.f("fk_prices_model_name_models")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prices")),
        sa.UniqueConstraint("model_name", "effective_at", name=op.f("uq_prices_model_name_effective_at")),
    )
    op.create_table(
        "agents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("agent_type", sa.Text(), nullable=False),
        sa.Column("instruction", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("temperature", sa.Double(), nullable=True),
        sa.Column("max_output_tokens", sa.Integer(), nullable=True),
        sa.Column("max_llm_calls", sa.Integer(), nullable=False),
        sa.Column("max_iterations", sa.Integer(), nullable=False),
        sa.Column("tools", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("output_key", sa.Text(), nullable=True),
        sa.Column("is_orchestrator", sa.Boolean(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "agent_type IN ('LLM_AGENT', 'SEQUENTIAL_AGENT', 'PARALLEL_AGENT', 'LOOP_AGENT')",
            name=op.f("ck_agents_agent_type_known"),
        ),
        sa.CheckConstraint("max_iterations > 0", name=op.f("ck_agents_max_iterations_positive")),
        sa.CheckConstraint("max_llm_calls > 0", name=op.f("ck_agents_max_llm_calls_positive")),
        sa.CheckConstraint("max_output_tokens > 0", name=op.f("ck_agents_max_output_tokens_positive")),
        sa.CheckConstraint("temperature BETWEEN 0 AND 2", name=op.f("ck_agents_temperature_range")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_agents_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("organization_id", "name", name=op.f("uq_agents_organization_id_name")),
    )
    op.create_index(
        "uq_agents_orchestrator",
        "agents",
        ["organization_id"],
        unique=True,
        postgresql_where=sa.text("is_orchestrator"),
    )
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("key_hash", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("requests_per_minute", sa.Integer(), nullable=True),
        sa.Column("requests_per_hour", sa.Integer(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("cardinality(scopes) > 0", name=op.f("ck_api_keys_scopes_not_empty")),
        sa.CheckConstraint("octet_length(key_hash) = 32", name=op.f("ck_api_keys_key_hash_is_sha256")),
        sa.CheckConstraint("requests_per_hour BETWEEN 1 AND 100000", name=op.f("ck_api_keys_requests_per_hour_range")),
        sa.CheckConstraint(
            "requests_per_minute BETWEEN 1 AND 1000", name=op.f("ck_api_keys_requests_per_minute_range")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_api_keys_organization_id_organizations")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_api_keys_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index(op.f("ix_api_keys_organization_id"), "api_keys", ["organization_id"], unique=False)
    op.create_index("uq_api_keys_key_hash", "api_keys", ["key_hash"], unique=True)
    op.create_table(
        "credit_accounts",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("balance", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("held", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.CheckConstraint("balance >= 0", name=op.f("ck_credit_accounts_balance_not_negative")),
        sa.CheckConstraint("held >= 0 AND held <= balance", name=op.f("ck_credit_accounts_held_within_balance")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_credit_accounts_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_credit_accounts")),
    )
    op.create_table(
        "credit_holds",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("charged", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(state = 'open') = (ended_at IS NULL)", name=op.f("ck_credit_holds_ended_when_not_open")),
        sa.CheckConstraint(
            "(state = 'settled') = (charged IS NOT NULL)", name=op.f("ck_credit_holds_charged_when_settled")
        ),
        sa.CheckConstraint("state IN ('open', 'settled', 'voided')", name=op.f("ck_credit_holds_state_known")),
        sa.CheckConstraint("amount >= 0", name=op.f("ck_credit_holds_amount_not_negative")),
        sa.CheckConstraint("charged >= 0 AND charged <= amount", name=op.f("ck_credit_holds_charged_within_amount")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_credit_holds_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credit_holds")),
        sa.UniqueConstraint("reference", name=op.f("uq_credit_holds_reference")),
    )
    op.create_index(
        "ix_credit_holds_expiry",
        "credit_holds",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "ix_credit_holds_organization",
        "credit_holds",
        ["organization_id"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_table(
        "ledger_entries",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("balance_after", sa.Numeric(precision=18, scale=6), nullable=False),
        sa.Column("is_estimated", sa.Boolean(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("kind <> 'charge' OR amount <= 0", name=op.f("ck_ledger_entries_charge_takes")),
        sa.CheckConstraint("kind <> 'grant' OR amount > 0", name=op.f("ck_ledger_entries_grant_gives")),
        sa.CheckConstraint("kind IN ('grant', 'charge', 'adjustment')", name=op.f("ck_ledger_entries_kind_known")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_ledger_entries_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger_entries")),
        sa.UniqueConstraint("reference", name=op.f("uq_ledger_entries_reference")),
    )
    op.create_index("ix_ledger_entries_organization", "ledger_entries", ["organization_id", "id"], unique=False)
    op.create_table(
        "memberships",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'admin', 'member')", name=op.f("ck_memberships_role_known")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_memberships_organization_id_organizations")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_memberships_user_id_users")),
        sa.PrimaryKeyConstraint("organization_id", "user_id", name=op.f("pk_memberships")),
    )
    op.create_index(op.f("ix_memberships_user_id"), "memberships", ["user_id"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("public_id", sa.Text(), nullable=False),
        sa.Column("message_count", sa.Integer(), nullable=False),
        sa.Column("turn_id", sa.Text(), nullable=True),
        sa.Column("turn_lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_turn_failed", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("last_update_time", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(turn_id IS NULL) = (turn_lease_until IS NULL)", name=op.f("ck_sessions_turn_has_lease")),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_sessions_organization_id_organizations")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_sessions_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint(
            "organization_id", "user_id", "public_id", name=op.f("uq_sessions_organization_id_user_id_public_id")
        ),
    )
    op.create_index(
        "ix_sessions_listing",
        "sessions",
        ["organization_id", "user_id", sa.literal_column("last_update_time DESC")],
        unique=False,
    )
    op.create_table(
        "generated_content",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=True),
        sa.Column("turn_id", sa.Text(), nullable=True),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("input", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prompt", sa.Text(), nullable=False),
        sa.Column("price_id", sa.Integer(), nullable=False),
        sa.Column("max_retries", sa.Integer(), nullable=False),
        sa.Column("file_token", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("retry_count", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("deadline_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prediction_id", sa.Text(), nullable=True),
        sa.Column("outcome", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("content_type", sa.Text(), nullable=True),
        sa.Column("output_url", sa.Text(), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.Column("credit_cost", sa.Numeric(precision=18, scale=6), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "(status = 'failed') = (error_message IS NOT NULL)", name=op.f("ck_generated_content_failed_has_message")
        ),
        sa.CheckConstraint(
            "(status IN ('completed', 'failed')) = (completed_at IS NOT NULL AND credit_cost IS NOT NULL)",
            name=op.f("ck_generated_content_ended_with_cost"),
        ),
        sa.CheckConstraint(
            "content_type IN ('image', 'video', 'audio', 'glb', 'other')",
            name=op.f("ck_generated_content_content_type_known"),
        ),
        sa.CheckConstraint(
            "status <> 'completed' OR content_type IS NOT NULL", name=op.f("ck_generated_content_completed_has_type")
        ),
        sa.CheckConstraint(
            "status IN ('pending', 'processing', 'completed', 'failed')", name=op.f("ck_generated_content_status_known")
        ),
        sa.CheckConstraint("credit_cost >= 0", name=op.f("ck_generated_content_credit_cost_not_negative")),
        sa.CheckConstraint(
            "retry_count >= 0 AND retry_count <= max_retries", name=op.f("ck_generated_content_retry_count_range")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_generated_content_organization_id_organizations")
        ),
        sa.ForeignKeyConstraint(["price_id"], ["prices.id"], name=op.f("fk_generated_content_price_id_prices")),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_generated_content_session_id_sessions"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_generated_content_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_generated_content")),
        sa.UniqueConstraint("file_token", name=op.f("uq_generated_content_file_token")),
        sa.UniqueConstraint("prediction_id", name=op.f("uq_generated_content_prediction_id")),
    )
    op.create_index(
        "ix_generated_content_due",
        "generated_content",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("status IN ('pending', 'processing')"),
    )
    op.create_index(
        "ix_generated_content_listing",
        "generated_content",
        ["organization_id", sa.literal_column("created_at DESC"), sa.literal_column("id DESC")],
        unique=False,
    )
    op.create_index("ix_generated_content_turn", "generated_content", ["turn_id"], unique=False)
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("turn_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("tool_calls", postgresql.JSONB(none_as_null=True, astext_type=sa.Text()), nullable=True),
        sa.Column("tool_call_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "role IN ('system', 'developer', 'user', 'assistant', 'tool')", name=op.f("ck_messages_role_known")
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name=op.f("fk_messages_session_id_sessions"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
    )
    op.create_index("ix_messages_session", "messages", ["session_id", "id"], unique=False)
    op.create_table(
        "sub_agents",
        sa.Column("agent_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("sub_agent_id", sa.Text(), nullable=False),
        sa.CheckConstraint("agent_id <> sub_agent_id", name=op.f("ck_sub_agents_not_itself")),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_sub_agents_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["sub_agent_id"], ["agents.id"], name=op.f("fk_sub_agents_sub_agent_id_agents"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("agent_id", "position", name=op.f("pk_sub_agents")),
    )
    op.create_index(op.f("ix_sub_agents_sub_agent_id"), "sub_agents", ["sub_agent_id"], unique=False)
    op.create_table(
        "content_outputs",
        sa.Column("content_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("storage_path", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.CheckConstraint("sha256 ~ '^[0-9a-f]{64}$'", name=op.f("ck_content_outputs_sha256_is_hex")),
        sa.CheckConstraint("(size_bytes IS NULL) = (sha256 IS NULL)", name=op.f("ck_content_outputs_verified_whole")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_content_outputs_size_not_negative")),
        sa.ForeignKeyConstraint(
            ["content_id"],
            ["generated_content.id"],
            name=op.f("fk_content_outputs_content_id_generated_content"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("content_id", "attempt", "position", name=op.f("pk_content_outputs")),
        sa.UniqueConstraint("storage_path", name=op.f("uq_content_outputs_storage_path")),
    )
    op.execute(_LEDGER_IS_APPEND_ONLY)
    op.execute(
        "CREATE TRIGGER ledger_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_entries"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_ledger_change()"
    )
    op.execute(
        "INSERT INTO plans (name, requests_per_minute, concurrent_requests, concurrent_generations, monthly_credits)"
        " VALUES ('basic', 60, 5, 10, 0), ('pro', 300, 20, 50, 0)"
    )


def downgrade() -> None:
    for table in _TABLES_IN_ORDER_OF_REMOVAL:
        op.drop_table(table)
    op.execute("DROP FUNCTION refuse_ledger_change()")
