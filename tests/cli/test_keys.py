import json
import re
from datetime import timedelta
from typing import Any

import pytest

from app.api_keys.errors import InvalidApiKeyError
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES
from app.audit.actor import COMMAND_LINE
from app.cli.transaction import in_transaction
from app.core.database import Transaction
from app.organizations.models import MembershipRole
from app.organizations.repository import add_membership
from app.organizations.service import ensure_user
from tests.cli.callers import caller_of
from tests.cli.conftest import Junis

CREATE = ("keys", "create", "--org", "Acme", "--name", "backend")


def listed(junis: Junis) -> list[dict[str, Any]]:
    keys: list[dict[str, Any]] = json.loads(junis("keys", "list", "--org", "Acme", "--json").stdout)
    return keys


def test_standard_output_is_only_the_key(acme: str, junis: Junis) -> None:
    created = junis(*CREATE)

    assert created.status == 0
    assert re.fullmatch(r"jns_live_[A-Za-z0-9]{32}\n", created.stdout)
    assert created.stdout.strip() not in created.stderr


def test_a_key_has_the_default_scopes_and_belongs_to_the_owner(acme: str, junis: Junis) -> None:
    caller = caller_of(junis(*CREATE).stdout)

    assert caller.organization_id == acme
    assert caller.user_id == in_transaction(ensure_user, "ada@acme.example", actor=COMMAND_LINE).id
    assert caller.scopes == set(DEFAULT_SCOPES)
    assert caller.usable_for is None


def test_a_key_has_the_scopes_that_were_given(acme: str, junis: Junis) -> None:
    created = junis(*CREATE, "--scope", "content:read", "--scope", "agents:list")

    assert caller_of(created.stdout).scopes == {"content:read", "agents:list"}


def test_a_key_may_have_every_scope(acme: str, junis: Junis) -> None:
    assert caller_of(junis(*CREATE, "--all-scopes").stdout).scopes == set(ALL_SCOPES)


@pytest.mark.parametrize(
    ("text", "length"), [("12h", timedelta(hours=12)), ("90d", timedelta(days=90)), ("4w", timedelta(weeks=4))]
)
def test_a_key_expires_after_the_time_that_is_given(acme: str, junis: Junis, text: str, length: timedelta) -> None:
    created = junis(*CREATE, "--expires-in", text)

    usable_for = caller_of(created.stdout).usable_for
    assert usable_for is not None
    assert length - timedelta(minutes=5) < usable_for <= length


def test_a_key_may_be_created_for_another_member(acme: str, junis: Junis) -> None:
    async def join(tx: Transaction) -> str:
        user = await ensure_user(tx, "bob@acme.example", actor=COMMAND_LINE)
        await add_membership(tx, acme, user.id, MembershipRole.MEMBER)
        return user.id

    bob = in_transaction(join)

    assert caller_of(junis(*CREATE, "--owner-email", "bob@acme.example").stdout).user_id == bob


def test_create_can_print_json(acme: str, junis: Junis) -> None:
    made = json.loads(junis(*CREATE, "--json").stdout)

    assert caller_of(made["key"]).key_id == made["id"]
    assert (made["name"], made["state"], made["scopes"]) == ("backend", "active", list(DEFAULT_SCOPES))
    assert made["key"].startswith(made["prefix"])


def test_a_key_may_have_limits_of_its_own(acme: str, junis: Junis) -> None:
    caller = caller_of(junis(*CREATE, "--per-minute", "5", "--per-hour", "100000").stdout)

    assert (caller.key_requests_per_minute, caller.key_requests_per_hour) == (5, 100_000)
    (shown,) = listed(junis)
    assert (shown["requests_per_minute"], shown["requests_per_hour"]) == (5, 100_000)


@pytest.mark.parametrize(
    ("options", "status", "refusal"),
    [
        (("--org", "Nobody"), 1, "Organization not found: Nobody"),
        (("--name", " "), 1, "The key needs a name"),
        (("--scope", "content:write"), 1, "Unknown scope: content:write"),
        (
            ("--owner-email", "eve@evil.example"),
            1,
            "Acme has no member with the address eve@evil.example",
        ),
        (("--expires-in", "0d"), 1, "The key would be expired already"),
        (("--expires-in", "soon"), 2, "'soon' is not a length of time such as 12h, 90d or 4w"),
        (("--expires-in", "999999d"), 2, "is not a length of time"),
        (("--all-scopes", "--scope", "content:read"), 2, "exclude each other"),
        (("--per-minute", "0"), 1, "requests_per_minute must be between 1 and 1000"),
        (("--per-hour", "100001"), 1, "requests_per_hour must be between 1 and 100000"),
        (("--per-minute", "many"), 2, "--per-minute"),
    ],
)
def test_a_refused_key_is_not_created(
    acme: str, junis: Junis, options: tuple[str, ...], status: int, refusal: str
) -> None:
    refused = junis(*CREATE, *options)

    assert (refused.status, refused.stdout) == (status, "")
    assert refusal in refused.stderr
    assert listed(junis) == []


def test_list_shows_each_key_without_its_secret(acme: str, junis: Junis) -> None:
    secret = junis(*CREATE).stdout.strip()

    listing = junis("keys", "list", "--org", "Acme").stdout

    headers, row = listing.splitlines()
    assert headers.split()[:4] == ["ID", "NAME", "PREFIX", "STATE"]
    assert row.split()[1:4] == ["backend", secret[:13], "active"]
    assert row.endswith(" ".join(DEFAULT_SCOPES))
    assert secret not in listing


def test_list_shows_the_state_of_each_key(acme: str, junis: Junis) -> None:
    names = ("active", "expired", "revoked", "rotated")
    ids = {name: json.loads(junis(*CREATE, "--name", name, "--json").stdout)["id"] for name in names}

    async def let_time_pass(tx: Transaction) -> None:
        await tx.execute("UPDATE api_keys SET expires_at = now() WHERE id = $1", ids["expired"])
        await tx.execute("UPDATE api_keys SET revoked_at = now() + interval '1 hour' WHERE id = $1", ids["rotated"])

    in_transaction(let_time_pass)
    junis("keys", "revoke", ids["revoked"], "--org", "Acme")

    assert {key["name"]: key["state"] for key in listed(junis)} == {name: name for name in names}


def test_a_revoked_key_no_longer_works(acme: str, junis: Junis) -> None:
    made = json.loads(junis(*CREATE, "--json").stdout)

    revoked = junis("keys", "revoke", made["id"], "--org", "Acme")

    assert revoked.status == 0
    with pytest.raises(InvalidApiKeyError):
        caller_of(made["key"])


def test_a_key_can_be_revoked_only_once(acme: str, junis: Junis) -> None:
    made = json.loads(junis(*CREATE, "--json").stdout)
    junis("keys", "revoke", made["id"], "--org", "Acme")

    again = junis("keys", "revoke", made["id"], "--org", "Acme")

    assert (again.status, again.stderr) == (1, f"error: No usable key of that id: {made['id']}\n")


def test_a_key_of_another_organization_is_not_revoked(acme: str, junis: Junis) -> None:
    junis("orgs", "create", "--name", "Other", "--plan", "pro", "--owner-email", "ada@acme.example")
    made = json.loads(junis(*CREATE, "--json").stdout)

    assert junis("keys", "revoke", made["id"], "--org", "Other").status == 1
    assert caller_of(made["key"]).key_id == made["id"]
