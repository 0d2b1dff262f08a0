"""What the pages of content compute from rows: bars, sums, addresses and policies."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from app.admin.console import content_policy
from app.admin.content import gallery
from app.admin.content.detail import cost_lines, is_capped
from app.admin.content.detail_queries import AttemptRow, Charge
from app.admin.content.media import media_sources, viewer_policy
from app.admin.content.queries import Position, id_range
from app.admin.content.timeline import attempts_of
from app.admin.content.views import media_of
from app.core.settings import Settings
from app.generations.media_types import ContentType

BEGAN = datetime(2026, 11, 28, 15, 30, tzinfo=UTC)


def attempt(number: int = 0, *, ending: str | None = None, **seconds: float) -> AttemptRow:
    """An attempt whose moments are so many seconds after `BEGAN`."""
    names = ("created_at", "sent_at", "answered_at", "finished_at", "ended_at")
    moments: dict[str, Any] = {
        name: BEGAN + timedelta(seconds=seconds[name]) if name in seconds else None for name in names
    }
    moments["created_at"] = moments["created_at"] or BEGAN
    rest = ("prediction_id", "error_message", "agent", "key_id", "key_name", "user_email", "request_id", "held")
    values: dict[str, Any] = dict.fromkeys(rest)
    return AttemptRow(number=number, ending=ending, **moments, **values)


def test_attempts_share_one_scale() -> None:
    failed = attempt(ending="failed", sent_at=1, answered_at=2, ended_at=5)
    completed = attempt(1, ending="completed", sent_at=0, answered_at=1, finished_at=9, ended_at=10)

    first, second = attempts_of([failed, completed], BEGAN)

    assert [(step.name, step.seconds, step.x, step.width) for step in first.steps] == [
        ("waited", 1, 0, 10),
        ("started", 1, 10, 10),
        ("ran", 3, 20, 30),
    ]
    assert [(step.name, step.x, step.width) for step in second.steps] == [
        ("waited", 0, 0.4),
        ("started", 0, 10),
        ("ran", 10, 80),
        ("copied", 90, 10),
    ]
    assert (first.steps[-1].words, first.steps[-1].colour) == ("ran, then failed", "kb")
    assert (first.title, second.title) == ("Attempt 1 failed after", "Attempt 2 completed in")


def test_an_attempt_under_way_lasts_until_now() -> None:
    [shown] = attempts_of([attempt(sent_at=2)], BEGAN + timedelta(seconds=4))

    assert [(step.words, step.seconds) for step in shown.steps] == [("waited", 2), ("started so far", 2)]
    assert (shown.state, shown.seconds) == ("busy", 4)


def test_clocks_that_disagree_make_no_negative_step() -> None:
    [shown] = attempts_of([attempt(ending="failed", sent_at=-3, answered_at=9, ended_at=5)], BEGAN)

    assert [step.seconds for step in shown.steps] == [0, 5, 0]
    assert all(0 <= step.x <= 100 for step in shown.steps)


def charge(**values: Any) -> Charge:
    usual: dict[str, Any] = {
        "predict_time": Decimal("12.048"),
        "outputs": 2,
        "is_estimated": False,
        "cost": Decimal(1),
        "per_call": Decimal(0),
        "per_second": Decimal(0),
        "per_output": Decimal(0),
        "ceiling": Decimal(1),
        "effective_at": BEGAN,
        "entry": "generation:1:0",
        "charged": Decimal(1),
    }
    return Charge(**usual | values)


def test_a_charge_is_shown_by_each_unit_that_has_a_price() -> None:
    both = charge(per_second=Decimal("0.000975"), per_output=Decimal("0.003"))

    shown = [(line.what, line.quantity, line.unit, line.price) for line in cost_lines(both)]

    assert shown == [
        ("Ran", "12.048 s", "second", Decimal("0.000975")),
        ("Files", "2", "file", Decimal("0.003")),
    ]
    assert [line.what for line in cost_lines(charge(per_call=Decimal("0.5")))] == ["Calls"]
    assert [line.quantity for line in cost_lines(charge(per_second=Decimal(1), predict_time=None))] == ["not reported"]
    assert not is_capped(both)
    assert is_capped(charge(per_second=Decimal(1)))


def test_dates_begin_in_the_readers_zone() -> None:
    given = gallery.given_in({"since": "2026-11-28", "until": "2026-11-28", "period": ""})

    wanted = gallery.wanted_of(given, ZoneInfo("Asia/Seoul"), organization_id="o", user_id=None, cursor=None)

    assert (wanted.since, wanted.until) == (
        datetime(2026, 11, 27, 15, tzinfo=UTC),
        datetime(2026, 11, 28, 15, tzinfo=UTC),
    )


def test_a_cursor_leads_back_to_its_position_and_others_to_the_beginning() -> None:
    position = Position(BEGAN, uuid.uuid4())
    given = gallery.given_in({})

    def read(cursor: str | None) -> Position | None:
        return gallery.wanted_of(given, UTC, organization_id="o", user_id=None, cursor=cursor).after

    assert read(gallery.cursor_of(position)) == position
    for cursor in (None, "", "x", "bm90IGpzb24", "WyIyMDI2IiwiYSJd"):
        assert read(cursor) is None, cursor


@pytest.mark.parametrize(
    ("words", "is_id"), [("550e8400", True), ("550E-84", True), ("550", False), ("lake", False), ("0" * 33, False)]
)
def test_the_beginning_of_an_id_is_known(words: str, is_id: bool) -> None:
    assert (id_range(words) is not None) == is_id


def test_only_pictures_that_browsers_show_are_shown() -> None:
    assert media_of(ContentType.IMAGE, "image/png", "/files/t/a.png").kind == "image"
    assert media_of(ContentType.IMAGE, "image/tiff", "/files/t/a.tiff").kind == "other"
    assert media_of(ContentType.IMAGE, "image/svg+xml", "/files/t/a.svg").kind == "other"
    assert media_of(ContentType.GLB, "model/gltf-binary", "https://x.example/b/a.glb?v=1").name == "a.glb"


S3 = {"storage": "s3", "s3_bucket": "media", "s3_access_key_id": "k", "s3_secret_access_key": "s"}


@pytest.mark.parametrize(
    ("settings", "sources"),
    [
        ({}, ()),
        (S3, ()),
        ({**S3, "s3_public_base_url": "https://cdn.example.com/media"}, ("https://cdn.example.com",)),
        (
            {**S3, "s3_presign_endpoint_url": "http://127.0.0.1:9000"},
            ("http://127.0.0.1:9000", "http://media.127.0.0.1:9000"),
        ),
    ],
    ids=["local", "private", "public", "presigned"],
)
def test_media_come_from_the_origins_of_the_store(settings: dict[str, Any], sources: tuple[str, ...]) -> None:
    assert media_sources(Settings.model_validate({"database_url": "postgresql://x@127.0.0.1/x", **settings})) == sources


def test_only_the_page_of_a_3d_model_allows_what_its_viewer_needs() -> None:
    every = content_policy(("https://cdn.example.com",))

    changed = set(viewer_policy(every, "`<style>\n:host {}\n</style>`").split("; ")) - set(every.split("; "))

    assert changed == {
        "script-src 'self' 'wasm-unsafe-eval'",
        "style-src 'self' 'sha256-Xe031Wbc9oNz4rX90WBcvY56ZgQ6KermLcpiOly6T2c='",
        "connect-src 'self' https://cdn.example.com blob:",
    }
