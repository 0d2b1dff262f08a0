"""Each charge is computed again from its metering events, and each event from its price."""

from decimal import Decimal

import pytest

from tests.verification.books import Books

_QUANTITY = "UPDATE ledger_entries SET quantities = jsonb_set(quantities, '{{{{0,{name}}}}}', '{value}') WHERE {entry}"
_PAID = "reference = 'paid:{org}'"
# So that the event and the entry agree, and only the charge does not.
_COST_OF_PAID = (
    "UPDATE metering_events SET cost = {cost}, completion_tokens = {cost} * 1000000 WHERE call_id = 'paid:{org}:1'",
    _QUANTITY.format(name="completion_tokens", value='"{tokens}"', entry=_PAID),
    _QUANTITY.format(name="cost", value='"{cost}"', entry=_PAID),
)
_UNSETTLE = """
WITH hold AS (UPDATE credit_holds SET state = 'voided', charged = NULL WHERE reference = 'paid:{org}' RETURNING *),
     entry AS (DELETE FROM ledger_entries WHERE reference = 'paid:{org}' RETURNING amount)
UPDATE credit_accounts SET balance = balance - entry.amount FROM entry WHERE organization_id = '{org}'
"""
_CHARGE_LESS = """
WITH hold AS (UPDATE credit_holds SET charged = charged - 2 WHERE reference = 'big:{org}'),
     entry AS (UPDATE ledger_entries SET amount = amount + 2, balance_after = balance_after + 2
               WHERE reference = 'big:{org}')
UPDATE credit_accounts SET balance = balance + 2 WHERE organization_id = '{org}'
"""


def costing(cost: str) -> tuple[str, ...]:
    """Statements that make the call that was paid cost this much."""
    tokens = str(int(Decimal(cost) * 1_000_000))
    return tuple(statement.replace("{cost}", cost).replace("{tokens}", tokens) for statement in _COST_OF_PAID)


async def test_what_the_product_does_is_right(books: Books) -> None:
    for name in ("several", "free", "delayed", "expired", "lost", "replaced", "replaced-early"):
        await books.hold(name, "0.2", calls=2)
    await books.open_call("several", "0.1", "0.000001")
    await books.settle("several", "0.3")
    await books.settle("free", "0")
    await books.settle("delayed", "0.05")
    await books.charge_late("delayed", "0.02", "0", "0.3")
    await books.open_call("expired", "0.1")
    await books.settle("expired")
    await books.settle("lost")
    await books.charge_late("lost", "0.1")
    await books.settle("replaced", "0.1")
    await books.charge_late("replaced", "0.1")
    await books.supersede("replaced")
    await books.open_call("replaced-early", "0.1")
    await books.supersede("replaced-early")
    await books.charge_late("replaced-early", "0.1")

    assert await books.faults() == []


@pytest.mark.parametrize(
    ("statements", "faults"),
    [
        (
            ["UPDATE metering_events SET cost = 0.6 WHERE call_id = 'paid:{org}:1'"],
            [
                "paid:{org}: the event paid:{org}:1 cost 0.600000, but what it used costs 0.500000",
                "paid:{org}: charged 0.500000, but its events cost 0.600000 and 1.000000 was held",
                "paid:{org}: the quantities of its entry are not those of its events at price {price}",
            ],
        ),
        (
            ["UPDATE metering_events SET model = 'simulator/image' WHERE call_id = 'paid:{org}:1'"],
            ["paid:{org}: the event paid:{org}:1 is of simulator/image, but has a price of sim-metered"],
        ),
        (
            ["UPDATE metering_events SET hold_reference = 'none:{org}' WHERE call_id = 'paid:{org}:1'"],
            [
                "none:{org}: the event paid:{org}:1 has no hold of its organization",
                "paid:{org}: charged 0.500000 without an event",
                "paid:{org}: the quantities of its entry are not those of its events at price {price}",
            ],
        ),
        (
            [
                """
                UPDATE metering_events SET organization_id = (SELECT min(id) FROM organizations WHERE id <> '{org}')
                WHERE call_id = 'paid:{org}:1'
                """
            ],
            [
                "paid:{org}: the event paid:{org}:1 has no hold of its organization",
                "paid:{org}: charged 0.500000 without an event",
                "paid:{org}: the quantities of its entry are not those of its events at price {price}",
            ],
        ),
        (
            ["DELETE FROM metering_events WHERE call_id = 'paid:{org}:1'"],
            [
                "paid:{org}: charged 0.500000 without an event",
                "paid:{org}: the quantities of its entry are not those of its events at price {price}",
            ],
        ),
        (
            # A call was opened, so the charge is not older than events.
            [
                "DELETE FROM metering_events WHERE call_id = 'paid:{org}:1'",
                "UPDATE ledger_entries SET quantities = NULL WHERE reference = 'paid:{org}'",
                "UPDATE credit_holds SET calls_opened = 1 WHERE reference = 'paid:{org}'",
            ],
            ["paid:{org}: charged 0.500000 without an event"],
        ),
        (
            costing("0.4"),
            ["paid:{org}: charged 0.500000, but its events cost 0.400000 and 1.000000 was held"],
        ),
        (
            costing("1.5"),
            [
                "paid:{org}: charged 0.500000, but its events cost 1.500000 and 1.000000 was held",
                "paid:{org}: charged 0.500000 of 1.500000, although more was available",
            ],
        ),
        (
            ["UPDATE ledger_entries SET is_estimated = true WHERE reference = 'paid:{org}'"],
            ["paid:{org}: its entry is marked as estimated, but its events are not"],
        ),
        (
            ["UPDATE ledger_entries SET quantities = NULL WHERE reference = 'paid:{org}'"],
            ["paid:{org}: the quantities of its entry are not those of its events at price {price}"],
        ),
        (
            [_UNSETTLE],
            ["paid:{org}: it is not charged, but its events cost 0.500000"],
        ),
        (
            ["UPDATE credit_holds SET superseded_by = 'another' WHERE reference = 'paid:{org}'"],
            ["paid:{org}: superseded by another, but charged 0.500000"],
        ),
    ],
)
async def test_a_doctored_charge_is_found(books: Books, statements: list[str], faults: list[str]) -> None:
    price = await books.tx.fetchval("SELECT id FROM prices WHERE model_name = 'sim-metered'")

    for statement in statements:
        await books.plant(statement)

    found = await books.faults()
    assert [fault for fault in found if "although" not in fault or fault in faults] == [
        fault.replace("{price}", str(price)) for fault in faults
    ]


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "predict_time", "outputs", "cost"])
async def test_a_doctored_quantity_is_found(books: Books, name: str) -> None:
    price = await books.tx.fetchval("SELECT id FROM prices WHERE model_name = 'sim-metered'")

    await books.plant(_QUANTITY.format(name=name, value='"9"', entry=_PAID))

    assert await books.faults() == [
        f"paid:{{org}}: the quantities of its entry are not those of its events at price {price}"
    ]


async def test_a_late_charge_without_an_event_is_found(books: Books) -> None:
    await books.charge_late("paid", "0.2")
    await books.plant("DELETE FROM metering_events WHERE call_id LIKE 'paid-late:{org}:%'")

    assert (await books.faults())[0] == "late:paid-late:{org}:1: a late charge without an event"


async def test_a_late_event_that_was_not_charged_is_found(books: Books) -> None:
    await books.charge_late("paid", "0.2")
    await books.plant(
        "WITH entry AS (DELETE FROM ledger_entries WHERE reference = 'late:paid-late:{org}:1' RETURNING amount)"
        " UPDATE credit_accounts SET balance = balance - amount FROM entry WHERE organization_id = '{org}'"
    )

    assert "paid:{org}: charged 0.500000, but its events cost 0.700000 and 1.000000 was held" in await books.faults()


async def test_a_cost_that_was_not_available_is_a_note(books: Books) -> None:
    await books.forget_others()
    # 6.5 are left, of which 1 and 0.5 are held for others.
    await books.hold("big", "1")
    await books.settle("big", "9")

    assert await books.faults() == []
    assert await books.notes() == [
        "credits that were used and not charged, because no more were available or allowed: 4.000000 (big:{org})"
    ]


async def test_a_cost_that_was_available_and_is_not_charged_is_found(books: Books) -> None:
    await books.hold("big", "1")
    await books.settle("big", "9")

    await books.plant(_CHARGE_LESS)

    assert await books.faults() == ["big:{org}: charged 3.000000 of 9.000000, although more was available"]


async def test_calls_that_a_crash_lost_are_a_note(books: Books) -> None:
    await books.forget_others()
    await books.hold("crashed", calls=1)
    await books.open_call("crashed", "0.1")
    await books.open_call("crashed")
    await books.settle("crashed")
    await books.hold("running", calls=1)

    assert await books.faults() == []
    assert await books.notes() == ["model calls that were opened and lost in crashes: 2 (crashed:{org})"]


async def test_a_version_may_have_the_price_of_its_model(books: Books) -> None:
    await books.plant("UPDATE metering_events SET model = model || ':version' WHERE call_id = 'paid:{org}:1'")

    assert await books.faults() == []


async def test_a_charge_that_is_older_than_events_is_no_fault(books: Books) -> None:
    await books.plant("DELETE FROM metering_events WHERE call_id = 'paid:{org}:1'")
    await books.plant("UPDATE ledger_entries SET quantities = NULL WHERE reference = 'paid:{org}'")

    assert await books.faults() == []


async def charge_as_allowed(books: Books) -> None:
    """Charge for two holds all that their requests allow, which is less than their calls cost."""
    await books.hold("capped", "0.2", most="0.3")
    await books.settle("capped", "0.2", "0.5")
    await books.hold("slow", "0.2", most="0.3")
    await books.settle("slow", "0.25")
    await books.charge_late("slow", "0.5")


async def test_a_charge_is_the_lesser_of_its_cost_and_what_its_request_allows(books: Books) -> None:
    await charge_as_allowed(books)

    assert await books.faults() == []


async def test_a_charge_that_differs_from_what_its_request_allows_is_a_fault(books: Books) -> None:
    await charge_as_allowed(books)
    await books.plant("UPDATE credit_holds SET most = 0.2 WHERE reference = 'capped:{org}'")
    await books.plant("UPDATE credit_holds SET most = 0.4 WHERE reference = 'slow:{org}'")

    assert sorted(await books.faults()) == [
        "capped:{org}: charged 0.300000, but its request allows 0.200000",
        "late:slow-late:{org}:1: charged 0.050000 of 0.500000, although more was available",
    ]
