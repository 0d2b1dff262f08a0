"""The history of attempts and of their create calls, fencing tokens of claims, and paths of each lapsed copy."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

# The attempts before the last one of a generation were overwritten: nothing is known of them but that they failed.
_KNOWN_ATTEMPTS = """
INSERT INTO attempts (generation_id, number, organization_id, user_id, model, session_id, turn_id, prediction_id,
                      created_at, started_at, ended_at, ending, error_message)
SELECT id, retry_count, organization_id, user_id, model, session_id, turn_id, prediction_id, created_at, started_at,
       completed_at, CASE WHEN status IN ('completed', 'failed') THEN status END, error_message
FROM generations
"""


def upgrade() -> None:
    op.add_column("generations", sa.Column("claim", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("generations", sa.Column("is_leased", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("generations", sa.Column("lapses", sa.Integer(), server_default="0", nullable=False))
    op.create_table(
        "attempts",
        sa.Column("generation_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("prediction_id", sa.Text()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("ending", sa.Text()),
        sa.Column("error_message", sa.Text()),
        sa.Column("missing_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("missing_since", sa.DateTime(timezone=True)),
        sa.Column("user_id", sa.Text()),
        sa.Column("api_key_id", sa.Text()),
        sa.Column("agent", sa.Text()),
        sa.Column("model", sa.Text()),
        sa.Column("session_id", sa.Uuid()),
        sa.Column("turn_id", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("traceparent", sa.Text()),
        sa.CheckConstraint("number >= 0", name=op.f("ck_attempts_number_not_negative")),
        sa.CheckConstraint("ending IN ('completed', 'failed')", name=op.f("ck_attempts_ending_known")),
        sa.CheckConstraint("(ending IS NULL) = (ended_at IS NULL)", name=op.f("ck_attempts_ended_somehow")),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generations.id"], name=op.f("fk_attempts_generation_id_generations")
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name=op.f("fk_attempts_organization_id_organizations")
        ),
        sa.PrimaryKeyConstraint("generation_id", "number", name=op.f("pk_attempts")),
        sa.UniqueConstraint("prediction_id", name=op.f("uq_attempts_prediction_id")),
    )
    op.execute(_KNOWN_ATTEMPTS)
    op.create_table(
        "create_calls",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("generation_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("claim", sa.BigInteger(), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True), server_default=sa.func.clock_timestamp(), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True)),
        sa.Column("result", sa.Text()),
        sa.Column("prediction_id", sa.Text()),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("result IN ('accepted', 'refused', 'lost')", name=op.f("ck_create_calls_result_known")),
        sa.CheckConstraint("(result IS NULL) = (ended_at IS NULL)", name=op.f("ck_create_calls_ended_with_result")),
        sa.CheckConstraint(
            "result <> 'accepted' OR prediction_id IS NOT NULL", name=op.f("ck_create_calls_accepted_has_prediction")
        ),
        sa.ForeignKeyConstraint(
            ["generation_id"], ["generations.id"], name=op.f("fk_create_calls_generation_id_generations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_create_calls")),
        sa.UniqueConstraint("prediction_id", name=op.f("uq_create_calls_prediction_id")),
        sa.UniqueConstraint(
            "generation_id", "attempt", "claim", name=op.f("uq_create_calls_generation_id_attempt_claim")
        ),
    )
    op.create_index(
        "ix_create_calls_unresolved",
        "create_calls",
        ["sent_at"],
        postgresql_where=sa.text("prediction_id IS NULL AND (result IS NULL OR result = 'lost')"),
    )
    op.create_index("ix_create_calls_due", "create_calls", ["due_at"], postgresql_where=sa.text("due_at IS NOT NULL"))
    op.add_column("outputs", sa.Column("lapses", sa.Integer(), server_default="0", nullable=False))
    _key_of_outputs("generation_id", "attempt", "position", "lapses")


def downgrade() -> None:
    # Verified outputs are always those of an attempt's last copy.
    op.execute(
        "DELETE FROM outputs o USING outputs later WHERE later.lapses > o.lapses AND"
        " (later.generation_id, later.attempt, later.position) = (o.generation_id, o.attempt, o.position)"
    )
    _key_of_outputs("generation_id", "attempt", "position")
    op.drop_column("outputs", "lapses")
    op.drop_table("create_calls")
    op.drop_table("attempts")
    for column in ("lapses", "is_leased", "claim"):
        op.drop_column("generations", column)


def _key_of_outputs(*columns: str) -> None:
    op.drop_constraint(op.f("pk_outputs"), "outputs")
    op.create_primary_key(op.f("pk_outputs"), "outputs", list(columns))
