"""What the log of changes keeps of values."""

from datetime import UTC, datetime
from decimal import Decimal

from app.audit.values import kept
from app.organizations.models import MembershipRole


def test_values_are_kept_as_plain_json() -> None:
    moment = datetime(2026, 11, 29, 15, tzinfo=UTC)

    assert kept(
        {"role": MembershipRole.OWNER, "amount": Decimal("1E+2"), "until": moment, "none": None, "on": True}
    ) == {
        "role": "owner",
        "amount": "100",
        "until": "2026-11-29T15:00:00+00:00",
        "none": None,
        "on": True,
    }


def test_lists_and_mappings_are_kept_to_a_depth() -> None:
    assert kept({"scopes": {"b", "a"}, "limits": {"deep": [1, {"deeper": {"deepest": 2}}]}}) == {
        "scopes": ["a", "b"],
        "limits": {"deep": [1, {"deeper": "{'deepest': 2}"}]},
    }


def test_long_values_are_cut() -> None:
    values = kept({"text": "x" * 1001, "just": "y" * 1000, "many": list(range(101))})

    assert values is not None
    assert values["text"] == "x" * 1000 + "… (1,001 characters)"
    assert values["just"] == "y" * 1000
    assert values["many"] == list(range(100))


def test_what_sounds_like_a_secret_is_left_out() -> None:
    given = {
        "password": "a",
        "password_hash": "b",
        "secret": "c",
        "token": "d",
        "key_hash": b"e",
        "max_output_tokens": 6,
    }

    assert kept(given) == {**dict.fromkeys(given, "not kept"), "max_output_tokens": 6}


def test_nothing_is_nothing() -> None:
    assert kept(None) is None
    assert kept({}) == {}
