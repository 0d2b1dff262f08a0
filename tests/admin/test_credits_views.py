"""What the pages of credits say, as pure functions."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from app.admin.credits import entry_view, period, usage_view
from app.admin.credits.entry_queries import EntryHold, Line
from app.admin.credits.export import csv_lines
from app.admin.credits.ledger_filter import LedgerFilter
from app.catalog.pricing import PriceTag, chat_cost, generation_cost
from app.credits.models import EventKind
from app.credits.spend_days import Spend, SpendOfDay, Split

_TODAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("name", "first", "last", "words"),
    [
        ("7", date(2026, 11, 23), _TODAY, "7 days"),
        ("90", date(2026, 9, 1), _TODAY, "90 days"),
        ("2026-11", date(2026, 11, 1), _TODAY, "November 2026"),
        ("2026-02", date(2026, 2, 1), date(2026, 2, 28), "February 2026"),
        ("2026-12", date(2026, 10, 31), _TODAY, "30 days"),
        ("8", date(2026, 10, 31), _TODAY, "30 days"),
        ("²", date(2026, 10, 31), _TODAY, "30 days"),
        ("", date(2026, 10, 31), _TODAY, "30 days"),
    ],
)
def test_a_period_is_some_days_or_a_month(name: str, first: date, last: date, words: str) -> None:
    found = period.read_period(name, _TODAY)

    assert (found.first, found.last, found.words) == (first, last, words)
    before = found.before
    assert before[1] == first - timedelta(days=1)
    assert (before[1] - before[0]).days + 1 == len(found.days)


def test_the_periods_to_choose_from_can_all_be_read() -> None:
    offered = period.choices(_TODAY)

    assert [one.name for one in offered[:5]] == ["7", "30", "90", "2026-11", "2026-10"]
    assert len(offered) == 15
    assert [period.read_period(one.name, _TODAY) for one in offered] == list(offered)


@pytest.mark.parametrize(
    ("available", "a_day", "words"),
    [
        ("184", "5.5", "Lasts about 33 days at this rate"),
        ("5.5", "5.5", "Lasts about 1 day at this rate"),
        ("1", "5", "Lasts for less than a day at this rate"),
        ("0", "5", "Nothing is left"),
        ("1000000", "0.000001", "Lasts for more than ten years at this rate"),
        ("5", "0", "Nothing is spent at present"),
    ],
)
def test_how_long_credits_last(available: str, a_day: str, words: str) -> None:
    assert usage_view.lasting(Decimal(available), Decimal(a_day)) == words


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        ("118", "100", "18 % more than in the 30 days before"),
        ("50", "100", "50 % less than in the 30 days before"),
        ("100.5", "100", "As much as in the 30 days before"),
        ("1", "0", "Nothing in the 30 days before"),
        ("0", "0", ""),
    ],
)
def test_how_a_sum_compares(now: str, before: str, words: str) -> None:
    assert usage_view.compared(Decimal(now), Decimal(before), "30 days") == words


def test_a_usage_adds_up_and_names_everything() -> None:
    days = period.read_period("7", _TODAY)
    found = [
        SpendOfDay(_TODAY, "k1", 1, Spend(amount=Decimal("0.75"), calls=2)),
        SpendOfDay(_TODAY - timedelta(days=6), "k1", 1, Spend(amount=Decimal("0.25"), calls=1)),
        SpendOfDay(_TODAY, "", 1, Spend(amount=Decimal("0.5"), outputs=3)),
        SpendOfDay(_TODAY, None, 1234, Spend(amount=Decimal("2.5"), prompt_tokens=41_200_000)),
    ]

    usage = usage_view.usage_of(found, days, Split.KEY, {"k1": "backend"})

    assert [(row.name, row.share, row.used) for row in usage.rows] == [
        ("backend", "25.0 %", ""),
        ("Without a key", "12.5 %", "3 files"),
        ("1,234 others", "62.5 %", "41.2 M tokens"),
    ]
    assert usage.total == Spend(amount=Decimal(4), calls=3, outputs=3, prompt_tokens=41_200_000)
    assert sum(usage.by_day.values()) == usage.total.amount
    assert [one.color for one in usage.series] == [row.color for row in usage.rows] == [1, 2, 3]


def _line(price: PriceTag, kind: EventKind, **values: object) -> Line:
    fields: dict[str, object] = {
        "kind": kind, "agent": "a", "model": "m", "amount": Decimal(0), "cost": Decimal(0), "is_estimated": False,
        "price": price, "priced_at": datetime.now(UTC), "prompt_tokens": None, "completion_tokens": None,
        "predict_time": None, "outputs": None, "seconds": None,
    }  # fmt: skip
    return Line(**{**fields, **values})  # type: ignore[arg-type]


def test_formulas_say_what_a_cost_is_computed_from() -> None:
    chat = PriceTag(
        id=1,
        model_name="m",
        per_million_prompt_tokens=Decimal("0.400000"),
        per_million_completion_tokens=Decimal("1.6"),
    )
    cost = chat_cost(chat, prompt_tokens=1912, completion_tokens=84)
    line = _line(chat, EventKind.MODEL_CALL, prompt_tokens=1912, completion_tokens=84, cost=cost, amount=cost)
    picture = PriceTag(id=2, model_name="p", per_output=Decimal("0.003"), ceiling=Decimal("0.012"))
    some, most = (
        generation_cost(picture, predict_time=None, outputs=2),
        generation_cost(picture, predict_time=None, outputs=9),
    )
    sound = PriceTag(id=3, model_name="s", per_second=Decimal("0.001"), per_call=Decimal("0.5"), ceiling=Decimal(1))

    times = "\N{MULTIPLICATION SIGN}"
    assert entry_view.formula_of(line) == f"1,912 in {times} 0.40 + 84 out {times} 1.60"
    assert cost == Decimal("0.000899")
    files = _line(picture, EventKind.GENERATION, outputs=2, cost=some.amount)
    assert entry_view.formula_of(files) == f"2 files {times} 0.003"
    capped = _line(picture, EventKind.GENERATION, outputs=9, cost=most.amount)
    assert entry_view.formula_of(capped) == f"9 files {times} 0.003, at most 0.012"
    timed = _line(sound, EventKind.GENERATION, predict_time=Decimal("3.25"), cost=Decimal("0.50325"), outputs=1)
    assert entry_view.formula_of(timed) == f"3.25 s {times} 0.001 + 1 call {times} 0.50"
    assert entry_view.formula_of(_line(chat, EventKind.MODEL_CALL)) == "Free: nothing was used"


@pytest.mark.parametrize(
    ("held", "charged", "lines"),
    [
        ("1", "0.4", [("Charged", "-0.4"), ("Given back", "0.6")]),
        ("1", "1.5", [("Charged", "-1.5"), ("Taken beyond the hold", "-0.5")]),
        ("1", None, [("Charged", "0"), ("Given back", "1")]),
    ],
)
def test_what_becomes_of_a_hold(held: str, charged: str | None, lines: list[tuple[str, str]]) -> None:
    now = datetime.now(UTC)
    hold = EntryHold("r", Decimal(held), Decimal(charged) if charged else None, now, now, 1, None)

    assert entry_view.hold_lines_of(hold) == [(words, Decimal(amount)) for words, amount in lines]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@a", "\tx", "\rx", "\uff1d1"])
def test_no_text_becomes_a_formula(text: str) -> None:
    cell = csv_lines([[text, Decimal("-1.500000"), None, 7]])
    assert cell.lstrip('"').startswith("'")
    assert cell.endswith(",-1.500000,,7\r\n")


def test_a_filter_reads_its_own_address() -> None:
    given = {"search": " x ", "kind": "grant", "key": "k", "first": "2026-11-01", "last": "2026-11-30", "user": "u"}

    chosen = LedgerFilter.read(given)

    assert chosen.query == {**given, "search": "x"}
    assert LedgerFilter.read(chosen.query) == chosen
    assert chosen.count == 4
    assert chosen.without("first", "last") == {"search": "x", "kind": "grant", "key": "k", "user": "u"}
    assert LedgerFilter.read({"kind": "x", "first": "30 Nov", "search": "\0"}) == LedgerFilter()
