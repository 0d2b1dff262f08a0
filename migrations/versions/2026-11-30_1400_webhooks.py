"""Webhooks: where organizations want to be told of what happens, what they are told, and how each delivery went.

Processes of the version before write no events: what ends in them is not told.
"""

from alembic import op

from migrations import steps

revision = "0037"
down_revision = "0030"
branch_labels = None
depends_on = None

_ORGANIZATION = "organization_id text NOT NULL CONSTRAINT fk_{0}_organization_id_organizations REFERENCES organizations"

_CREATE_ENDPOINTS = f"""
CREATE TABLE IF NOT EXISTS webhook_endpoints (
    id text NOT NULL,
    {_ORGANIZATION.format("webhook_endpoints")},
    url text NOT NULL,
    description text NOT NULL DEFAULT '',
    events text[] NOT NULL,
    secret bytea,
    former_secret bytea,
    former_until timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    failing_since timestamptz,
    disabled_at timestamptz,
    disabled_reason text,
    deleted_at timestamptz,
    CONSTRAINT pk_webhook_endpoints PRIMARY KEY (id),
    CONSTRAINT ck_webhook_endpoints_disabled_for_a_reason CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL)),
    CONSTRAINT ck_webhook_endpoints_disabled_reason_known CHECK (disabled_reason IN ('asked', 'gone', 'failing')),
    CONSTRAINT ck_webhook_endpoints_former_until_an_end CHECK ((former_secret IS NULL) = (former_until IS NULL)),
    CONSTRAINT ck_webhook_endpoints_secret_until_deleted CHECK ((secret IS NULL) = (deleted_at IS NOT NULL))
)
"""
_CREATE_EVENTS = f"""
CREATE TABLE IF NOT EXISTS webhook_events (
    id text NOT NULL,
    {_ORGANIZATION.format("webhook_events")},
    type text NOT NULL,
    subject text,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_webhook_events PRIMARY KEY (id)
)
"""
_CREATE_DELIVERIES = f"""
CREATE TABLE IF NOT EXISTS webhook_deliveries (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    {_ORGANIZATION.format("webhook_deliveries")},
    endpoint_id text NOT NULL
        CONSTRAINT fk_webhook_deliveries_endpoint_id_webhook_endpoints REFERENCES webhook_endpoints,
    event_id text NOT NULL
        CONSTRAINT fk_webhook_deliveries_event_id_webhook_events REFERENCES webhook_events ON DELETE CASCADE,
    event_type text NOT NULL,
    state text NOT NULL DEFAULT 'pending',
    due_at timestamptz NOT NULL DEFAULT now(),
    claim bigint NOT NULL DEFAULT 0,
    is_sending boolean NOT NULL DEFAULT false,
    failures integer NOT NULL DEFAULT 0,
    tries integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT pk_webhook_deliveries PRIMARY KEY (id),
    CONSTRAINT ck_webhook_deliveries_state_known CHECK (state IN ('pending', 'delivered', 'failed')),
    CONSTRAINT ck_webhook_deliveries_ended_or_pending CHECK ((state = 'pending') = (ended_at IS NULL)),
    CONSTRAINT ck_webhook_deliveries_sent_while_pending CHECK (state = 'pending' OR NOT is_sending)
)
"""
_CREATE_TRIES = """
CREATE TABLE IF NOT EXISTS webhook_tries (
    delivery_id uuid NOT NULL
        CONSTRAINT fk_webhook_tries_delivery_id_webhook_deliveries REFERENCES webhook_deliveries ON DELETE CASCADE,
    number integer NOT NULL,
    began_at timestamptz NOT NULL,
    duration_ms integer NOT NULL,
    status integer,
    reason text,
    response text,
    CONSTRAINT pk_webhook_tries PRIMARY KEY (delivery_id, number)
)
"""
_INDEXES = {
    "ix_webhook_endpoints_organization": "ON webhook_endpoints (organization_id) WHERE deleted_at IS NULL",
    "ix_webhook_events_created": "ON webhook_events (created_at)",
    "ix_webhook_deliveries_event": "ON webhook_deliveries (event_id)",
    "ix_webhook_deliveries_due": "ON webhook_deliveries (due_at) WHERE state = 'pending'",
    "ix_webhook_deliveries_waiting": "ON webhook_deliveries (endpoint_id, due_at) WHERE state = 'pending'",
    "ix_webhook_deliveries_listing": "ON webhook_deliveries (organization_id, created_at DESC, id DESC)",
    "ix_webhook_deliveries_endpoint": "ON webhook_deliveries (endpoint_id, created_at DESC, id DESC)",
    "ix_webhook_deliveries_state": "ON webhook_deliveries (organization_id, state, created_at DESC, id DESC)",
    "ix_webhook_deliveries_type": "ON webhook_deliveries (organization_id, event_type, created_at DESC, id DESC)",
}
_KIND = "ck_retention_runs_kind_known"
_FORMER_KINDS = "'idempotency_keys', 'sessions', 'metering'"
_KINDS = f"CHECK (kind IN ({_FORMER_KINDS}, 'webhooks'))"


def upgrade() -> None:
    with steps.online():
        steps.alter(("organizations",), _CREATE_ENDPOINTS, _CREATE_EVENTS, _CREATE_DELIVERIES, _CREATE_TRIES)
        for name, definition in _INDEXES.items():
            steps.create_index(name, definition)
        steps.alter(
            ("retention_runs",),
            f"ALTER TABLE retention_runs DROP CONSTRAINT IF EXISTS {_KIND}",
            f"ALTER TABLE retention_runs ADD CONSTRAINT {_KIND} {_KINDS} NOT VALID",
        )
        steps.add_constraint("retention_runs", _KIND, _KINDS)
        # Rows come and go, and are found by what is due.
        steps.alter(
            ("webhook_deliveries",),
            "ALTER TABLE webhook_deliveries SET (autovacuum_vacuum_scale_factor = 0.02)",
        )


def downgrade() -> None:
    for table in ("webhook_tries", "webhook_deliveries", "webhook_events", "webhook_endpoints"):
        op.drop_table(table)
    op.execute("DELETE FROM retention_runs WHERE kind = 'webhooks'")
    op.execute(f"ALTER TABLE retention_runs DROP CONSTRAINT {_KIND}")
    op.execute(f"ALTER TABLE retention_runs ADD CONSTRAINT {_KIND} CHECK (kind IN ({_FORMER_KINDS}))")
