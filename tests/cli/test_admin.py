"""`junis admin`: users of the console."""

import asyncio
import json
import re

import asyncpg
import pytest

from app.accounts.one_time_links import find_user_of_link
from app.audit.actor import COMMAND_LINE
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.organizations.service import find_user, set_password
from tests.cli.conftest import Junis

CREATE = ("admin", "create", "--email", "ada@acme.example")


def user_of(printed: str) -> str:
    """The address of the user whom a printed link is for."""
    token = printed.strip().rpartition("/")[2]
    return in_transaction(find_user_of_link, token).email


async def give_password(tx: Transaction, email: str) -> None:
    user = await find_user(tx, email)
    assert user
    set_password(tx, user, "correct horse battery staple", actor=COMMAND_LINE)


def test_create_prints_a_link_for_the_first_owner(acme: str, junis: Junis) -> None:
    """The owner that `junis orgs create` has made is the one: there is no password yet."""
    created = junis(*CREATE, "--org", "Acme", "--operator")

    listed = json.loads(junis("admin", "list", "--json").stdout)
    assert created.status == 0
    assert re.fullmatch(r"http://localhost:8000/admin/first-steps/[\w-]{43}\n", created.stdout)
    assert user_of(created.stdout) == "ada@acme.example"
    assert "works once" in created.stderr
    assert listed == [
        {
            "email": "ada@acme.example",
            "is_operator": True,
            "has_password": False,
            "organizations": "Acme (owner)",
            "last_seen_at": None,
        }
    ]


def test_the_link_is_of_the_public_address(acme: str, junis: Junis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUBLIC_URL", "https://media.example.com")

    made = json.loads(junis(*CREATE, "--operator", "--json").stdout)

    assert made["url"].startswith("https://media.example.com/admin/first-steps/")
    assert made["expires_at"].endswith("Z")


def test_somebody_new_is_added_in_a_role(acme: str, junis: Junis) -> None:
    created = junis("admin", "create", "--email", "bob@acme.example", "--organization", acme, "--role", "viewer")

    listed = junis("admin", "list")
    assert created.status == 0
    assert "Acme (viewer)" in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ((), "The user would see nothing"),
        (("--organization", "Nobody"), "Organization not found: Nobody"),
        (("--email", "ada", "--operator"), "Not an email address: ada"),
    ],
    ids=["nothing", "organization", "address"],
)
def test_a_refused_user_is_not_created(
    database_url: str, junis: Junis, arguments: tuple[str, ...], refusal: str
) -> None:
    refused = junis(*CREATE, *arguments)

    assert refused.status == 1
    assert refusal in refused.stderr
    assert json.loads(junis("admin", "list", "--json").stdout) == []


def test_whoever_can_sign_in_needs_no_first_link(acme: str, junis: Junis) -> None:
    in_transaction(give_password, "ada@acme.example")

    refused = junis(*CREATE, "--operator")

    assert refused.status == 1
    assert "junis admin reset ada@acme.example" in refused.stderr
    assert not json.loads(junis("admin", "list", "--json").stdout)[0]["is_operator"]


def test_reset_prints_a_new_link_and_the_one_before_works_no_longer(acme: str, junis: Junis) -> None:
    first = junis(*CREATE, "--operator").stdout

    second = junis("admin", "reset", "ADA@acme.example").stdout

    assert user_of(second) == "ada@acme.example"
    with pytest.raises(Exception, match="This link was used already"):
        user_of(first)


def test_reset_of_an_unknown_address_is_refused(database_url: str, junis: Junis) -> None:
    refused = junis("admin", "reset", "nobody@example.com")

    assert refused.status == 1
    assert "There is no user with the address nobody@example.com" in refused.stderr


def test_an_operator_is_made_and_unmade(acme: str, junis: Junis) -> None:
    def is_operator() -> bool:
        listed: bool = json.loads(junis("admin", "list", "--json").stdout)[0]["is_operator"]
        return listed

    made = junis("admin", "operator", "ada@acme.example", "on")
    after_made = is_operator()
    unmade = junis("admin", "operator", "ada@acme.example", "off")
    unknown = junis("admin", "operator", "bob@acme.example", "on")

    assert (made.status, unmade.status, unknown.status) == (0, 0, 1)
    assert (after_made, is_operator()) == (True, False)


def test_what_the_commands_change_is_in_the_audit_log(acme: str, junis: Junis, database_url: str) -> None:
    junis(*CREATE, "--operator")

    async def read() -> list[str]:
        connection = await asyncpg.connect(database_url)
        rows = await connection.fetch(
            "SELECT event FROM audit_events WHERE actor_kind = 'command_line' AND object_id LIKE 'user%' ORDER BY id"
        )
        await connection.close()
        return [row["event"] for row in rows]

    assert asyncio.run(read())[-2:] == ["operator_made", "one_time_link_made"]
