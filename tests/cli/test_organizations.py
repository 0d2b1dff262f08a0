import asyncio
import json
from decimal import Decimal

import asyncpg
import pytest

from app.agents.repository import list_agents
from app.cli.transaction import in_transaction
from app.credits.balance import Balance
from app.credits.repository import find_balance
from app.organizations.service import get_organization, list_organizations
from tests.cli.callers import caller_of
from tests.cli.conftest import Junis
from tests.cli.outcome import run_process

CREATE = ("orgs", "create", "--name", "Acme", "--plan", "basic", "--owner-email", "ada@acme.example")


def test_create_prints_only_the_id(database_url: str, junis: Junis) -> None:
    created = junis(*CREATE)

    assert created.status == 0
    assert created.stdout == in_transaction(get_organization, "Acme").id + "\n"


def test_a_new_organization_is_complete(acme: str) -> None:
    agents = in_transaction(list_agents, acme)
    account = in_transaction(find_balance, acme)

    assert [agent.name for agent in agents if agent.is_orchestrator] == ["orchestrator"]
    assert account == Balance(Decimal(0), Decimal(0))


def test_create_can_print_json(database_url: str, junis: Junis) -> None:
    made = json.loads(junis(*CREATE, "--json").stdout)

    assert made == {
        "id": in_transaction(get_organization, "Acme").id,
        "name": "Acme",
        "plan": "basic",
        "subscription_status": "active",
        "created_at": made["created_at"],
    }
    assert made["created_at"].endswith("Z")


@pytest.mark.parametrize(
    ("option", "value", "refusal"),
    [
        ("--name", "Acme", "An organization with this name exists already"),
        ("--name", "  ", "The organization needs a name"),
        ("--plan", "gold", "Plan not found: gold"),
        ("--owner-email", "ada", "Not an email address: ada"),
    ],
)
def test_a_refused_organization_is_not_created(acme: str, junis: Junis, option: str, value: str, refusal: str) -> None:
    options = {"--name": "Other", "--plan": "pro", "--owner-email": "ada@acme.example", option: value}
    refused = junis("orgs", "create", *(word for pair in options.items() for word in pair))

    assert (refused.status, refused.stdout, refused.stderr) == (1, "", f"error: {refusal}\n")
    assert [one.id for one in in_transaction(list_organizations)] == [acme]


async def test_if_somebody_else_creates_it_at_the_same_time_the_error_is_one_line(database_url: str) -> None:
    other = await asyncpg.connect(database_url)
    made = other.transaction()
    await made.start()
    await other.execute(
        "INSERT INTO organizations (id, name, plan_name, subscription_status) VALUES ('1', 'Acme', 'pro', 'active')"
    )

    creating = asyncio.create_task(asyncio.to_thread(run_process, *CREATE))
    while not (creating.done() or await other.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted")):
        await asyncio.wait({creating}, timeout=0.01)
    await made.commit()
    await other.close()

    refused = await creating
    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr == "error: Created by another process at the same time: try again\n"


def test_list_shows_one_per_line_under_aligned_headers(acme: str, junis: Junis) -> None:
    junis("orgs", "create", "--name", "Zebra & Sons", "--plan", "basic", "--owner-email", "ada@acme.example")

    headers, first, second = junis("orgs", "list").stdout.splitlines()

    assert headers.split() == ["ID", "NAME", "PLAN", "SUBSCRIPTION", "STATUS", "CREATED", "AT"]
    assert first.startswith(acme)
    assert first.index("Acme") == second.index("Zebra & Sons") == headers.index("NAME")
    assert first.index("pro") == second.index("basic") == headers.index("PLAN")


def test_list_can_print_json(acme: str, junis: Junis) -> None:
    assert [one["id"] for one in json.loads(junis("orgs", "list", "--json").stdout)] == [acme]


def test_an_empty_list_shows_only_the_headers(database_url: str, junis: Junis) -> None:
    assert junis("orgs", "list").stdout.split()[:3] == ["ID", "NAME", "PLAN"]
    assert junis("orgs", "list", "--json").stdout == "[]\n"


def test_terminal_escapes_in_a_name_are_not_printed(database_url: str, junis: Junis) -> None:
    junis("orgs", "create", "--name", "A\x1b[2J\nB", "--plan", "pro", "--owner-email", "ada@acme.example")

    assert r"A\x1b[2J\nB" in junis("orgs", "list").stdout


def test_a_changed_subscription_applies_to_existing_keys(acme: str, junis: Junis) -> None:
    key = junis("keys", "create", "--org", "Acme", "--name", "backend").stdout
    assert caller_of(key).is_subscribed

    ended = junis("orgs", "set-subscription", "--org", "Acme", "inactive")

    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "The subscription of Acme is inactive\n")
    assert not caller_of(key).is_subscribed

    begun = junis("orgs", "set-subscription", "--org", acme, "active")

    assert begun.status == 0
    assert caller_of(key).is_subscribed


def test_a_subscription_is_active_or_inactive(acme: str, junis: Junis) -> None:
    refused = junis("orgs", "set-subscription", "--org", "Acme", "paused")

    assert refused.status == 2
    assert "'paused' is not one of 'active', 'inactive'" in refused.stderr
    assert in_transaction(get_organization, "Acme").subscription_status == "active"


def test_the_limits_of_a_new_plan_apply_at_once(acme: str, junis: Junis) -> None:
    key = junis("keys", "create", "--org", "Acme", "--name", "backend").stdout
    assert caller_of(key).requests_per_minute == 300

    changed = junis("orgs", "set-plan", "--org", "Acme", "basic")

    assert (changed.status, changed.stdout, changed.stderr) == (0, "", "The plan of Acme is basic\n")
    assert caller_of(key).requests_per_minute == 60


def test_a_plan_that_does_not_exist_is_refused(acme: str, junis: Junis) -> None:
    refused = junis("orgs", "set-plan", "--org", "Acme", "gold")

    assert (refused.status, refused.stderr) == (1, "error: Plan not found: gold\n")
    assert in_transaction(get_organization, "Acme").plan_name == "pro"


@pytest.mark.parametrize("command", [("set-subscription", "inactive"), ("set-plan", "basic")])
def test_another_organization_is_not_changed(acme: str, junis: Junis, command: tuple[str, ...]) -> None:
    junis("orgs", "create", "--name", "Other", "--plan", "pro", "--owner-email", "ada@acme.example")
    before = in_transaction(get_organization, "Other")

    assert junis("orgs", *command, "--org", "Acme").status == 0
    refused = junis("orgs", *command, "--org", "Nobody")

    assert (refused.status, refused.stderr) == (1, "error: Organization not found: Nobody\n")
    after = in_transaction(get_organization, "Other")
    assert (after.plan_name, after.subscription_status) == (before.plan_name, before.subscription_status)
