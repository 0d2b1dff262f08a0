import json
import re
from datetime import timedelta
from typing import Any

import pytest

from app.api_keys.errors import InvalidApiKeyError
from app.cli.transaction import in_transaction
from app.core.clock import now, whole_seconds
from app.core.database import Transaction
from tests.cli.callers import caller_of
from tests.cli.conftest import Junis


@pytest.fixture
def old(acme: str, junis: Junis) -> dict[str, Any]:
    """A key of Acme with every property that a key can have."""
    options = ("--scope", "content:read", "--per-minute", "5", "--per-hour", "50", "--expires-in", "90d", "--json")
    key: dict[str, Any] = json.loads(junis("keys", "create", "--org", "Acme", "--name", "backend", *options).stdout)
    return key


def states(junis: Junis) -> dict[str, str]:
    keys = json.loads(junis("keys", "list", "--org", "Acme", "--json").stdout)
    return {key["id"]: key["state"] for key in keys}


def test_standard_output_is_only_the_new_key(old: dict[str, Any], junis: Junis) -> None:
    rotated = junis("keys", "rotate", old["id"], "--org", "Acme")

    assert rotated.status == 0
    assert re.fullmatch(r"jns_live_[A-Za-z0-9]{32}\n", rotated.stdout)
    assert rotated.stdout.strip() not in rotated.stderr


def test_the_new_key_has_the_permissions_of_the_old_one(old: dict[str, Any], junis: Junis) -> None:
    new = json.loads(junis("keys", "rotate", old["id"], "--org", "Acme", "--json").stdout)

    assert caller_of(new["key"]).key_id == new["id"] != old["id"]
    for same in ("name", "scopes", "requests_per_minute", "requests_per_hour", "expires_at"):
        assert new[same] == old[same]


def test_the_old_key_works_for_one_more_day(old: dict[str, Any], junis: Junis) -> None:
    earliest = now() + timedelta(hours=24)
    rotated = junis("keys", "rotate", old["id"], "--org", "Acme")

    usable_for = caller_of(old["key"]).usable_for
    assert usable_for is not None
    assert timedelta(hours=23, minutes=55) < usable_for <= timedelta(hours=24)
    assert sorted(states(junis).values()) == ["active", "rotated"]
    shown = re.search(rf"{old['id']} works until (\S+) at the latest", rotated.stderr)
    assert shown is not None
    assert whole_seconds(earliest) <= shown[1] <= whole_seconds(now() + timedelta(hours=24))


def test_the_overlap_can_be_chosen(old: dict[str, Any], junis: Junis) -> None:
    assert junis("keys", "rotate", old["id"], "--org", "Acme", "--overlap", "7d").status == 0

    usable_for = caller_of(old["key"]).usable_for
    assert usable_for is not None
    assert timedelta(days=7) - timedelta(minutes=5) < usable_for <= timedelta(days=7)


def test_without_an_overlap_the_old_key_stops_working_at_once(old: dict[str, Any], junis: Junis) -> None:
    new = junis("keys", "rotate", old["id"], "--org", "Acme", "--overlap", "0h").stdout

    assert caller_of(new).scopes == {"content:read"}
    assert states(junis)[old["id"]] == "revoked"
    with pytest.raises(InvalidApiKeyError):
        caller_of(old["key"])


def test_a_key_can_be_rotated_only_once(old: dict[str, Any], junis: Junis) -> None:
    junis("keys", "rotate", old["id"], "--org", "Acme")

    again = junis("keys", "rotate", old["id"], "--org", "Acme")

    assert (again.status, again.stdout) == (1, "")
    assert again.stderr == f"error: No usable key of that id: {old['id']}\n"
    assert len(states(junis)) == 2


def test_an_expired_key_is_not_rotated(old: dict[str, Any], junis: Junis) -> None:
    async def expire(tx: Transaction) -> None:
        await tx.execute("UPDATE api_keys SET expires_at = now() WHERE id = $1", old["id"])

    in_transaction(expire)

    refused = junis("keys", "rotate", old["id"], "--org", "Acme")

    assert (refused.status, refused.stderr) == (1, "error: The key would be expired already\n")
    assert states(junis) == {old["id"]: "expired"}


def test_a_key_of_another_organization_is_not_rotated(old: dict[str, Any], junis: Junis) -> None:
    junis("orgs", "create", "--name", "Other", "--plan", "pro", "--owner-email", "ada@acme.example")

    refused = junis("keys", "rotate", old["id"], "--org", "Other")

    assert (refused.status, refused.stderr) == (1, f"error: No usable key of that id: {old['id']}\n")
    assert states(junis) == {old["id"]: "active"}


@pytest.mark.parametrize("overlap", ["soon", "-1h", "1.5d", ""])
def test_an_overlap_that_is_not_a_duration_is_refused(old: dict[str, Any], junis: Junis, overlap: str) -> None:
    refused = junis("keys", "rotate", old["id"], "--org", "Acme", "--overlap", overlap)

    assert (refused.status, refused.stdout) == (2, "")
    assert f"{overlap!r} is not a length of time" in refused.stderr
    assert states(junis) == {old["id"]: "active"}
