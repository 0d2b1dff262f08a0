import json
from decimal import Decimal
from pathlib import Path

from app.cli.run import in_transaction
from app.credits.service import get_balance
from app.organizations.service import get_organization
from tests.cli.callers import caller_of
from tests.cli.outcome import Outcome, run_process

AGENTS = """
[[agents]]
name = "poet"
instruction = "Answer in verse."
"""


def test_an_operator_sets_up_a_server(empty_database_url: str, tmp_path: Path) -> None:
    """Each command in a process of its own, as a script would run them."""

    def done(*arguments: str) -> Outcome:
        outcome = run_process(*arguments)
        assert outcome.status == 0, outcome.stderr
        return outcome

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
