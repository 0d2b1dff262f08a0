from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.admin.keys import views
from app.admin.keys.queries import KeyRow
from app.admin.keys.views import Mark
from app.api_keys.scopes import ALL_SCOPES, DEFAULT_SCOPES

AT = datetime(2026, 11, 28, 15, tzinfo=UTC)
KEY = KeyRow(
    id="key-1",
    name="backend",
    description="",
    prefix="jns_live_7Qm4",
    scopes=[scope.value for scope in DEFAULT_SCOPES],
    requests_per_minute=None,
    requests_per_hour=None,
    monthly_credits=None,
    created_at=AT,
    expires_at=None,
    revoked_at=None,
    rotated_to=None,
    last_used_at=AT,
    user_id="user-1",
    maker="ops@fernhill.example",
    maker_suspended_at=None,
    is_maker_here=True,
)


@pytest.mark.parametrize(
    ("key", "mark"),
    [
        (KEY, Mark("ok", "Active")),
        (replace(KEY, last_used_at=None), Mark("wait", "Never used")),
        (replace(KEY, revoked_at=AT), Mark("off", "Revoked")),
        (replace(KEY, expires_at=AT), Mark("off", "Expired")),
        (replace(KEY, expires_at=AT + timedelta(days=8)), Mark("ok", "Active")),
        (replace(KEY, expires_at=AT + timedelta(days=2, hours=3)), Mark("look", "Ends in 2 days")),
        (replace(KEY, expires_at=AT + timedelta(days=1, hours=3)), Mark("look", "Ends in 27 hours")),
        (replace(KEY, revoked_at=AT + timedelta(seconds=30), rotated_to="key-2"), Mark("look", "Ends in 1 minute")),
        (replace(KEY, maker_suspended_at=AT), Mark("off", "Maker suspended")),
        (replace(KEY, is_maker_here=False), Mark("off", "Maker removed")),
        (replace(KEY, is_maker_here=False, revoked_at=AT), Mark("off", "Revoked")),
    ],
    ids=["active", "unused", "revoked", "expired", "later", "days", "hours", "minute", "suspended", "removed", "both"],
)
def test_the_state_of_a_key_is_a_shape_and_a_word(key: KeyRow, mark: Mark) -> None:
    assert views.mark_of(key, AT, is_used=False) == mark


def test_a_key_that_was_charged_has_been_used() -> None:
    assert views.mark_of(replace(KEY, last_used_at=None), AT, is_used=True) == Mark("ok", "Active")


def test_the_default_scopes_are_one_tag() -> None:
    assert views.scope_tags(KEY.scopes) == ["4 defaults"]
    assert views.scope_tags(list(ALL_SCOPES)) == [
        "4 defaults",
        "content:read",
        "content:retry",
        "content:generate",
        "usage:read",
        "webhooks:manage",
    ]
    assert views.scope_tags(["sessions:read"]) == ["sessions:read"]


def test_every_scope_is_said_in_words() -> None:
    assert set(views.SCOPE_WORDS) == set(ALL_SCOPES)


@pytest.mark.parametrize(
    ("number", "written"),
    [(0, "0"), (9812, "9,812"), (12_345, "12.3 k"), (1_000_000, "1.0 M"), (27_900_000, "27.9 M"), (10**10, "10.0 G")],
    ids=str,
)
def test_large_numbers_are_written_shortly(number: int, written: str) -> None:
    assert views.short_count(number) == written
