"""Embedding models in the catalog.

A process of the version before reads none of them: it asks for models of the kinds that it knows.
"""

from alembic import op

from migrations import steps

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None

_WIDER = {
    "ck_models_kind_known": "CHECK (kind IN ('chat', 'generation', 'embedding'))",
    "ck_models_chat_has_max_output_tokens": "CHECK (kind <> 'chat' OR max_output_tokens IS NOT NULL)",
}
_FORMER = {
    "ck_models_kind_known": "CHECK (kind IN ('chat', 'generation'))",
    "ck_models_chat_has_max_output_tokens": "CHECK (kind = 'generation' OR max_output_tokens IS NOT NULL)",
}


def upgrade() -> None:
    with steps.online():
        for name, definition in _WIDER.items():
            steps.alter(("models",), f"ALTER TABLE models DROP CONSTRAINT IF EXISTS {name}")
            steps.add_constraint("models", name, definition)


def downgrade() -> None:
    op.execute("DELETE FROM prices WHERE model_name IN (SELECT name FROM models WHERE kind = 'embedding')")
    op.execute("DELETE FROM models WHERE kind = 'embedding'")
    for name, definition in _FORMER.items():
        op.execute(f"ALTER TABLE models DROP CONSTRAINT {name}")
        op.execute(f"ALTER TABLE models ADD CONSTRAINT {name} {definition}")
