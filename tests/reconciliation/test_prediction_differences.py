"""The vendor's list of predictions against what was charged."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from app.reconciliation.prediction_differences import (
    Difference,
    DifferenceKind,
    KnownRun,
    LostCall,
    VendorRun,
    compare_known,
    explain_unknown,
)

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
CONTENT = uuid.uuid4()


def run(
    id: str = "p", status: str = "succeeded", predict_time: str | None = "2.5", *, at: int = 0, model: str = "own/er"
) -> VendorRun:
    """A prediction that was created so many seconds after noon."""
    seconds = None if predict_time is None else Decimal(predict_time)
    return VendorRun(id, model, "f" * 64, status, seconds, NOON + timedelta(seconds=at))


def known(*, is_ended: bool = True, is_charged: bool = True, predict_time: str | None = "2.5") -> KnownRun:
    seconds = None if predict_time is None else Decimal(predict_time)
    return KnownRun("p", CONTENT, 0, is_ended, is_charged, seconds)


def call(*, at: int = 0, model: str = "own/er") -> LostCall:
    """A create call that took 20 s, from so many seconds after noon."""
    sent_at = NOON + timedelta(seconds=at)
    return LostCall(uuid.uuid4(), 0, model, sent_at, sent_at + timedelta(seconds=20))


@pytest.mark.parametrize(
    ("theirs", "ours", "kinds"),
    [
        (run(), known(), []),
        (run(predict_time="2.500"), known(), []),
        (run(), known(predict_time=None), []),
        (run(), known(is_ended=False, is_charged=False), []),
        (run(), known(is_charged=False), [DifferenceKind.NOT_CHARGED]),
        (run(status="canceled"), known(is_charged=False), [DifferenceKind.NOT_CHARGED]),
        (run(status="failed"), known(is_charged=False), [DifferenceKind.NOT_CHARGED]),
        (run(predict_time=None), known(is_charged=False), [DifferenceKind.NOT_CHARGED]),
        (run(status="canceled", predict_time=None), known(is_charged=False), []),
        (run(status="aborted", predict_time="0"), known(is_charged=False), []),
        (run(predict_time="25"), known(), [DifferenceKind.OTHER_TIME]),
        (run(predict_time=None), known(), [DifferenceKind.OTHER_TIME]),
    ],
)
def test_what_ran_must_be_charged_as_it_ran(theirs: VendorRun, ours: KnownRun, kinds: list[DifferenceKind]) -> None:
    assert [difference.kind for difference in compare_known([theirs], {"p": ours})] == kinds


def test_a_difference_says_what_both_sides_know() -> None:
    assert list(compare_known([run(predict_time="25"), run("unknown")], {"p": known()})) == [
        Difference(
            kind=DifferenceKind.OTHER_TIME,
            prediction_id="p",
            content_id=CONTENT,
            attempt=0,
            model="own/er",
            status="succeeded",
            created_at=NOON,
            predict_time=Decimal(25),
            charged_time=Decimal("2.5"),
        )
    ]


@pytest.mark.parametrize(
    ("at", "model", "kind"),
    [
        (10, "own/er", DifferenceKind.LOST),
        (-59, "own/er", DifferenceKind.LOST),
        (79, "own/er", DifferenceKind.LOST),
        (-61, "own/er", DifferenceKind.FOREIGN),
        (81, "own/er", DifferenceKind.FOREIGN),
        (10, "other/model", DifferenceKind.FOREIGN),
    ],
)
def test_a_lost_call_explains_a_prediction_of_its_model_and_time(at: int, model: str, kind: DifferenceKind) -> None:
    assert [found.kind for found in explain_unknown([run(at=at, model=model)], [call()])] == [kind]


@pytest.mark.parametrize("model", [f"own/er:{'f' * 64}", "f" * 64])
def test_a_model_may_be_named_by_its_version(model: str) -> None:
    assert [found.kind for found in explain_unknown([run()], [call(model=model)])] == [DifferenceKind.LOST]


def test_each_lost_call_explains_one_prediction_in_order() -> None:
    calls = [call(at=5), call(at=0)]

    found = list(explain_unknown([run("c", at=9), run("a", at=1), run("b", at=6)], calls))

    assert [(item.prediction_id, item.kind) for item in found] == [
        ("a", DifferenceKind.LOST),
        ("b", DifferenceKind.LOST),
        ("c", DifferenceKind.FOREIGN),
    ]
    assert [item.content_id for item in found] == [calls[1].content_id, calls[0].content_id, None]


def test_what_never_ran_is_not_listed() -> None:
    assert list(explain_unknown([run(status="canceled", predict_time=None)], [call()])) == []
