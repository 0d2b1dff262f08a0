"""The history of attempts and of their create calls, fencing tokens of claims, and paths of each lapsed copy."""

from alembic import op

from migrations import steps

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_CREATE_ATTEMPTS = """
CREATE TABLE IF NOT EXISTS attempts (
    generation_id uuid NOT NULL CONSTRAINT fk_attempts_generation_id_generations REFERENCES generations,
    number integer NOT NULL,
    organization_id text NOT NULL CONSTRAINT fk_attempts_organization_id_organizations REFERENCES organizations,
    prediction_id text CONSTRAINT uq_attempts_prediction_id UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    ended_at timestamptz,
    ending text,
    error_message text,
    missing_count integer NOT NULL DEFAULT 0,
    missing_since timestamptz,
    user_id text,
    api_key_id text,
    agent text,
    model text,
    session_id uuid,
    turn_id text,
    request_id text,
    traceparent text,
    CONSTRAINT pk_attempts PRIMARY KEY (generation_id, number),
    CONSTRAINT ck_attempts_number_not_negative CHECK (number >= 0),
    CONSTRAINT ck_attempts_ending_known CHECK (ending IN ('completed', 'failed')),
    CONSTRAINT ck_attempts_ended_somehow CHECK ((ending IS NULL) = (ended_at IS NULL))
)
"""
_CREATE_CALLS = """
CREATE TABLE IF NOT EXISTS create_calls (
    id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_create_calls PRIMARY KEY,
    generation_id uuid NOT NULL CONSTRAINT fk_create_calls_generation_id_generations REFERENCES generations,
    attempt integer NOT NULL,
    claim bigint NOT NULL,
    sent_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ended_at timestamptz,
    result text,
    prediction_id text CONSTRAINT uq_create_calls_prediction_id UNIQUE,
    due_at timestamptz,
    CONSTRAINT ck_create_calls_result_known CHECK (result IN ('accepted', 'refused', 'lost')),
    CONSTRAINT ck_create_calls_ended_with_result CHECK ((result IS NULL) = (ended_at IS NULL)),
    CONSTRAINT ck_create_calls_accepted_has_prediction CHECK (result <> 'accepted' OR prediction_id IS NOT NULL),
    CONSTRAINT uq_create_calls_generation_id_attempt_claim UNIQUE (generation_id, attempt, claim)
)
"""
# The attempts before the last one of a generation were overwritten: nothing is known of them but that they failed. An
# attempt that has not ended gets its row from the next version, once it goes on.
_KNOWN_ATTEMPTS = """
INSERT INTO attempts (generation_id, number, organization_id, user_id, model, session_id, turn_id, prediction_id,
                      created_at, started_at, ended_at, ending, error_message)
SELECT id, retry_count, organization_id, user_id, model, session_id, turn_id, prediction_id, created_at, started_at,
       completed_at, status, error_message
FROM batch WHERE status IN ('completed', 'failed')
ON CONFLICT DO NOTHING
"""


def upgrade() -> None:
    with steps.online():
        claims = {"claim": "bigint NOT NULL DEFAULT 0", "is_leased": "boolean NOT NULL DEFAULT false"}
        steps.add_columns("generations", claims | {"lapses": "integer NOT NULL DEFAULT 0"})
        # Tables without rows need nobody's patience.
        steps.alter(("generations", "organizations"), _CREATE_ATTEMPTS)
        steps.alter(
            ("generations",),
            _CREATE_CALLS,
            "CREATE INDEX IF NOT EXISTS ix_create_calls_unresolved ON create_calls (sent_at)"
            " WHERE prediction_id IS NULL AND (result IS NULL OR result = 'lost')",
            "CREATE INDEX IF NOT EXISTS ix_create_calls_due ON create_calls (due_at) WHERE due_at IS NOT NULL",
        )
        steps.add_columns("outputs", {"lapses": "integer NOT NULL DEFAULT 0"})
        _extend_key_of_outputs()
        steps.fill("generations", _KNOWN_ATTEMPTS)


def _extend_key_of_outputs() -> None:
    if steps.value("SELECT indnatts FROM pg_index WHERE indexrelid = 'pk_outputs'::regclass") == 4:
        return
    steps.create_index("uq_outputs_with_lapses", "ON outputs (generation_id, attempt, position, lapses)", unique=True)
    steps.alter(
        ("outputs",),
        "ALTER TABLE outputs DROP CONSTRAINT pk_outputs,"
        " ADD CONSTRAINT pk_outputs PRIMARY KEY USING INDEX uq_outputs_with_lapses",
    )


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
