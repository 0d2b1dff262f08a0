"""Every command that changes something leaves rows in the log of changes: what, by whom, and from where."""

import getpass
import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from app.cli.commands import junis as commands_of_junis
from tests.cli.conftest import Junis
from tests.cli.databases import query

AGENTS = '[[agents]]\nname = "poet"\ninstruction = "Answer in verse."\n'
MODEL = '[[models]]\nname = "of/a-file"\nkind = "generation"\nprice = { ceiling = 1 }\n'
LIMITS = ("--requests-per-minute", "5", "--concurrent-requests", "5", "--concurrent-generations", "5")

# What is run, and the events of the rows that it leaves.
CHANGES = [
    (("orgs", "set-subscription", "inactive", "--org", "Acme"), ["subscription_inactive"]),
    (("orgs", "set-plan", "basic", "--org", "Acme"), ["plan_changed"]),
    (("plans", "set", "trial", *LIMITS), ["plan_set"]),
    (("catalog", "import", "catalog.toml"), ["model_imported"]),
    (("catalog", "price", "of/a-command", "--ceiling", "1", "--per-call", "1"), ["model_imported"]),
    (("agents", "import", "agents.toml", "--org", "Acme"), ["agent_imported"]),
    (("credits", "grant", "--org", "Acme", "--amount", "5"), ["credits_granted"]),
    (
        ("credits", "adjust", "--org", "Acme", "--amount", "-1", "--reason", "twice", "--reference", "ticket 1"),
        ["credits_adjusted"],
    ),
    (("admin", "create", "--email", "ada@acme.example", "--operator"), ["operator_made", "one_time_link_made"]),
    (("admin", "reset", "ada@acme.example"), ["one_time_link_made"]),
    (("admin", "operator", "ada@acme.example", "on"), ["operator_made"]),
    (("webhooks", "create", "--org", "Acme", "--url", "https://example.com/b"), ["webhook_endpoint_created"]),
    (("webhooks", "disable", "{endpoint}", "--org", "Acme"), ["webhook_endpoint_disabled"]),
    (("webhooks", "rotate", "{endpoint}", "--org", "Acme"), ["webhook_secret_rotated"]),
    (("webhooks", "delete", "{endpoint}", "--org", "Acme"), ["webhook_endpoint_deleted"]),
    (("keys", "create", "--org", "Acme", "--name", "audited"), ["key_created"]),
    (("keys", "rotate", "{key}", "--org", "Acme"), ["key_created", "key_rotated"]),
    (("keys", "set-cap", "{key}", "--org", "Acme", "--monthly-credits", "12.5"), ["key_changed"]),
    (("keys", "revoke", "{key}", "--org", "Acme"), ["key_revoked"]),
]
# Tests of their own follow for `orgs create` and `demo`; those of `demo-model` and `prune` stand where there is a model
# that can be called, or something old.
ELSEWHERE = {"orgs create", "demo", "demo-model", "prune"}
# They change nothing administrative: programs, and what only reads vendors.
PROGRAMS = {
    "serve", "worker", "quickstart", "migrate", "doctor", "reconcile predictions", "reconcile usage", "objects verify",
    "objects export", "objects import", "reseal",
}  # fmt: skip
# What is run, and changes nothing.
READS = [
    ("orgs", "list"),
    ("admin", "list"),
    ("admin", "operator", "ada@acme.example", "off"),
    ("agents", "export", "--org", "Acme"),
    ("orgs", "set-plan", "pro", "--org", "Acme"),
    ("plans", "list"),
    ("plans", "set", "pro"),
    ("catalog", "export"),
    ("keys", "list", "--org", "Acme"),
    ("webhooks", "list", "--org", "Acme"),
    ("webhooks", "enable", "{endpoint}", "--org", "Acme"),
    ("webhooks", "test", "{endpoint}", "--org", "Acme"),
    ("webhooks", "deliveries", "--org", "Acme"),
    ("webhooks", "resend", "{delivery}", "--org", "Acme"),
    ("credits", "balance", "--org", "Acme"),
    ("credits", "grant", "--org", "Acme", "--amount", "5", "--reference", "of the test"),
    ("verify-ledger",),
    ("count-lists",),
]


@pytest.fixture
def key_id(acme: str, database_url: str, junis: Junis, tmp_path: Path) -> str:
    """The id of a key of Acme's, which has credits. Files to import are in the working directory."""
    (tmp_path / "agents.toml").write_text(AGENTS)
    (tmp_path / "catalog.toml").write_text(MODEL)
    junis("credits", "grant", "--org", "Acme", "--amount", "5", "--reference", "of the test")
    junis("keys", "create", "--org", "Acme", "--name", "backend")
    ((found,),) = query(database_url, "SELECT id FROM api_keys")
    return str(found)


def rows_after(database_url: str, last: int) -> list[tuple[Any, ...]]:
    columns = "event, actor_kind, actor_id, organization_id, source, request_id, after IS NOT NULL"
    return query(database_url, f"SELECT {columns} FROM audit_events WHERE id > {last} ORDER BY id")


def newest(database_url: str) -> int:
    ((last,),) = query(database_url, "SELECT max(id) FROM audit_events")
    return int(last)


@pytest.fixture
def ids(
    key_id: str, command: Sequence[str], database_url: str, junis: Junis, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """The ids of Acme's key and, for commands of webhooks, of an endpoint and of a delivery to it."""
    if command[0] != "webhooks":
        return {"key": key_id}
    monkeypatch.setenv("SECRET_KEY", "seals the secrets")
    junis("webhooks", "create", "--org", "Acme", "--url", "https://example.com/hook")
    ((endpoint,),) = query(database_url, "SELECT id FROM webhook_endpoints")
    junis("webhooks", "test", endpoint, "--org", "Acme")
    ((delivery,),) = query(database_url, "SELECT id FROM webhook_deliveries")
    return {"key": key_id, "endpoint": endpoint, "delivery": str(delivery)}


@pytest.mark.parametrize(("command", "events"), CHANGES, ids=[" ".join(command[:2]) for command, _ in CHANGES])
def test_a_command_that_changes_something_leaves_a_row(
    acme: str, ids: dict[str, str], database_url: str, junis: Junis, command: Sequence[str], events: list[str]
) -> None:
    last = newest(database_url)

    assert junis(*(part.format(**ids) for part in command)).status == 0

    rows = rows_after(database_url, last)
    assert [row[0] for row in rows] == events
    of_acme = None if command[0] in {"plans", "catalog", "admin"} else acme
    source = f"{getpass.getuser()}@{socket.gethostname()}"
    assert {row[1:5] for row in rows} == {("command_line", None, of_acme, source)}
    (request_id,) = {row[5] for row in rows}
    assert request_id.startswith("cli-")
    assert all(row[6] for row in rows)


@pytest.mark.parametrize("command", READS, ids=[" ".join(command) for command in READS])
def test_a_command_that_changes_nothing_leaves_none(
    acme: str, ids: dict[str, str], database_url: str, junis: Junis, command: Sequence[str]
) -> None:
    last = newest(database_url)

    assert junis(*(part.format(**ids) for part in command)).status == 0

    assert rows_after(database_url, last) == []


def test_every_command_is_known_here() -> None:
    def names(group: Any, *before: str) -> Iterator[str]:
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from names(command, *before, name)
            else:
                yield " ".join((*before, name))

    known = {" ".join(command[:2]) for command in (*(command for command, _ in CHANGES), *READS)}

    assert set(names(get_command(commands_of_junis()))) <= known | ELSEWHERE | PROGRAMS | {"verify-ledger"}


def test_a_refused_command_leaves_none(acme: str, key_id: str, database_url: str, junis: Junis) -> None:
    last = newest(database_url)

    assert (
        junis("credits", "adjust", "--org", "Acme", "--amount", "-6", "--reason", "x", "--reference", "y").status == 1
    )

    assert rows_after(database_url, last) == []


def test_a_new_organization_is_told_in_the_rows_of_one_command(database_url: str, junis: Junis) -> None:
    junis("orgs", "create", "--name", "Acme", "--plan", "pro", "--owner-email", "ada@acme.example")

    rows = rows_after(database_url, 0)

    assert [row[0] for row in rows][:3] == ["user_created", "organization_created", "member_added"]
    assert {row[0] for row in rows[3:]} == {"agent_imported"}
    assert len({row[5] for row in rows}) == 1


def test_the_demo_leaves_no_password_and_no_key(database_url: str, junis: Junis) -> None:
    made = json.loads(junis("demo").stdout)

    rows = query(database_url, "SELECT event, before::text, after::text FROM audit_events")

    assert {"password_set", "key_created", "credits_granted", "model_imported"} <= {row[0] for row in rows}
    for secret in (made["api_key"], made["admin_password"]):
        assert secret
        assert secret not in str(rows)
