"""`junis prune` removes what workers would, at once, and says what."""

from decimal import Decimal

import pytest

from app.cli.transaction import in_transaction
from app.core.attribution import Attribution
from app.core.database import Transaction
from app.credits import service as credits
from tests.cli.conftest import Junis
from tests.cli.databases import execute, query
from tests.cli.test_ledger import HOUR
from tests.credits.uses import make_use

_OLD_SESSION = """
INSERT INTO sessions (id, organization_id, user_id, public_id, message_count, last_turn_failed, last_update_time)
SELECT gen_random_uuid(), o.id, u.id, 'old', 0, false, now() - interval '31 days' FROM organizations o, users u
"""
_MOVE = (
    "ALTER TABLE ledger_entries DISABLE TRIGGER USER",
    "ALTER TABLE metering_events DISABLE TRIGGER USER",
    "UPDATE ledger_entries SET created_at = created_at - interval '100 days'",
    "UPDATE metering_events SET recorded_at = recorded_at - interval '100 days'",
    "UPDATE credit_holds SET created_at = created_at - interval '100 days', ended_at = ended_at - interval '100 days'",
    "INSERT INTO spend_marks SELECT organization_id, max(id) FROM ledger_entries GROUP BY 1",
    "ALTER TABLE ledger_entries ENABLE TRIGGER USER",
    "ALTER TABLE metering_events ENABLE TRIGGER USER",
)
_PRUNED = "SELECT object_id, after ->> 'removed', actor_kind FROM audit_events WHERE event = 'data_pruned' ORDER BY id"


async def _charge(tx: Transaction, organization_id: str) -> None:
    payer = Attribution(organization_id=organization_id)
    await credits.hold(tx, payer, reference="turn:1", amount=Decimal(1), expires_in=HOUR, calls_opened=1)
    use = await make_use(tx, "turn:1:1", "0.5")
    await credits.settle(tx, organization_id=organization_id, reference="turn:1", uses=[use], description="chat")


@pytest.fixture
def _grown(acme: str, database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with an old session and an old charge, and settings by which both go."""
    junis("credits", "grant", "--org", "Acme", "--amount", "10")
    junis("catalog", "import")
    in_transaction(_charge, acme)
    execute(database_url, _OLD_SESSION)
    for statement in _MOVE:
        execute(database_url, statement)
    monkeypatch.setenv("RETAIN_SESSIONS_DAYS", "30")
    monkeypatch.setenv("RETAIN_METERING_DAYS", "40")


@pytest.mark.usefixtures("_grown")
def test_what_is_old_is_removed(database_url: str, junis: Junis) -> None:
    told = junis("prune")

    assert (told.status, told.stdout) == (0, "")
    assert told.stderr.splitlines() == [
        "Removed: 0 idempotency keys that have expired",
        "Removed: 1 sessions, with their messages",
        "Removed: 1 ended holds, with their metering events",
        "Removed: 0 events of webhooks, with their deliveries",
        "Removed: 0 files of generations that do not need them any more",
    ]
    assert query(database_url, _PRUNED) == [("sessions", "1", "command_line"), ("metering", "1", "command_line")]
    assert query(database_url, "SELECT count(*) FROM credit_holds") == [(0,)]


@pytest.mark.usefixtures("_grown")
def test_a_dry_run_only_counts(database_url: str, junis: Junis) -> None:
    told = junis("prune", "--dry-run")

    assert (told.status, told.stderr) == (0, "")
    assert told.stdout.splitlines() == [
        "0 idempotency keys that have expired",
        "1 sessions, with their messages",
        "1 ended holds, with their metering events",
        "0 events of webhooks, with their deliveries",
        "0 files of generations that do not need them any more",
    ]
    assert query(database_url, "SELECT (SELECT count(*) FROM credit_holds), (SELECT count(*) FROM sessions)") == [
        (1, 1)
    ]
    assert query(database_url, _PRUNED) == []


@pytest.mark.usefixtures("_grown")
def test_what_cannot_be_sealed_is_said(acme: str, database_url: str, junis: Junis) -> None:
    execute(database_url, "UPDATE credit_holds SET charged = 0.25")

    told = junis("prune")

    assert told.status == 1
    assert told.stdout == f"{acme}: not sealed: turn:1: it has no settled hold of that amount\n"
    assert told.stderr.splitlines()[-1] == "error: The ledgers of 1 organizations cannot be sealed"
    assert query(database_url, "SELECT count(*) FROM credit_holds") == [(1,)]


@pytest.mark.usefixtures("acme")
def test_without_settings_only_goes_what_nobody_can_need(junis: Junis) -> None:
    told = junis("prune")

    assert told.status == 0
    assert told.stderr.splitlines() == [
        "Removed: 0 idempotency keys that have expired",
        "Removed: 0 events of webhooks, with their deliveries",
        "Removed: 0 files of generations that do not need them any more",
    ]


@pytest.mark.usefixtures("_grown")
def test_while_a_worker_is_at_it_that_is_said(database_url: str, junis: Junis) -> None:
    execute(
        database_url,
        "INSERT INTO retention_runs (kind, lease_until) VALUES ('sessions', now() + interval '1 minute')",
    )

    told = junis("prune")

    assert told.status == 0
    assert "A worker is removing sessions, with their messages at this moment" in told.stderr
    assert query(database_url, "SELECT count(*) FROM sessions") == [(1,)]
