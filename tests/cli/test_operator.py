import json
from decimal import Decimal
from pathlib import Path

from app.cli.transaction import in_transaction
from app.credits.service import get_balance
from app.organizations.service import get_organization
from tests.cli.callers import caller_of
from tests.cli.outcome import Outcome, run_process

AGENTS = """
[[agents]]
name = "poet"
instruction = "Answer in verse."
"""


def done(*arguments: str) -> Outcome:
    """Run a command in its own process, as a script would; fail the test if the command fails."""
    outcome = run_process(*arguments)
    assert outcome.status == 0, outcome.stderr
    return outcome


def test_an_operator_sets_up_a_server(empty_database_url: str, tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text(AGENTS)
    done("migrate")
    done("catalog", "import")
    done("plans", "set", "pro", "--monthly-credits", "20")
    organization_id = done(
        "orgs", "create", "--name", "Acme", "--plan", "pro", "--owner-email", "ada@acme.example"
    ).stdout.strip()
    done("agents", "import", "agents.toml", "--org", organization_id)
    done("credits", "grant", "--org", "Acme", "--amount", "12.5")
    key = done("keys", "create", "--org", organization_id, "--name", "backend", "--all-scopes").stdout.strip()

    demo = json.loads(done("demo").stdout)

    assert caller_of(key).organization_id == organization_id
    assert in_transaction(get_balance, organization_id).balance == Decimal("12.5")
    assert caller_of(demo["api_key"]).organization_id == in_transaction(get_organization, "Demo").id


def test_an_operator_adds_a_customer_and_replaces_the_key(database_url: str) -> None:
    organization_id = done(
        "orgs", "create", "--name", "Acme", "--plan", "pro", "--owner-email", "ada@acme.example"
    ).stdout.strip()
    done("credits", "grant", "--org", "Acme", "--amount", "25")
    done("catalog", "import")
    old = json.loads(
        done("keys", "create", "--org", "Acme", "--name", "backend", "--per-minute", "60", "--json").stdout
    )

    new = done("keys", "rotate", old["id"], "--org", "Acme", "--overlap", "1h").stdout
    verified = done("verify-ledger")

    assert [caller_of(key).organization_id for key in (old["key"], new)] == [organization_id] * 2
    assert [caller_of(key).key_requests_per_minute for key in (old["key"], new)] == [60, 60]
    assert verified.stderr == "The ledger is right; organizations: 1\n"
