"""Each check of the books finds the fault that it is for.

The faults are made with the constraints disabled, in a transaction that is never committed.
"""

import pytest

from app.verification.service import find_faults
from tests.verification.books import Books

_CHARGE = """
WITH paid AS (UPDATE credit_accounts SET balance = balance - 0.5 WHERE organization_id = '{org}' RETURNING balance)
INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description)
SELECT '{org}', 'charge', '{reference}', -0.5, balance, false, '' FROM paid
"""
_SETTLED_HOLD = """
INSERT INTO credit_holds (organization_id, reference, amount, state, charged, ended_at)
VALUES ('{org}', '{reference}', 0.5, 'settled', 0.5, now())
"""
_END_HOLD = """
WITH hold AS (
    UPDATE credit_holds SET state = 'voided', ended_at = now() WHERE reference = '{reference}' RETURNING amount
)
UPDATE credit_accounts SET held = held - amount FROM hold WHERE organization_id = '{org}'
"""
_COMPLETE = """
UPDATE generations SET status = 'completed', content_type = 'image', credit_cost = 0.5, completed_at = now()
WHERE id = '{content}'
"""

_FAIL = """
UPDATE generations SET status = 'failed', error_message = 'x', credit_cost = 0, completed_at = now()
WHERE id = '{content}'
"""


async def test_correct_books_have_no_fault(books: Books) -> None:
    assert await books.faults() == []


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        ("balance = balance + 1", ["{org}: balance 7.500000, but its entries add up to 6.500000"]),
        ("held = held + 1", ["{org}: 2.500000 held, but its open holds add up to 1.500000"]),
        (
            "balance = -1, held = 0",
            [
                "{org}: balance -1.000000, but its entries add up to 6.500000",
                "{org}: 0.000000 held, but its open holds add up to 1.500000",
                "{org}: negative, or more held than there is: balance -1.000000, held 0.000000",
            ],
        ),
    ],
)
async def test_an_account_that_does_not_match_its_entries_and_holds(
    books: Books, change: str, faults: list[str]
) -> None:
    await books.plant(f"UPDATE credit_accounts SET {change} WHERE organization_id = '{{org}}'")

    assert await books.faults() == faults


async def test_an_entry_with_a_wrong_balance(books: Books) -> None:
    await books.plant("UPDATE ledger_entries SET balance_after = 6 WHERE reference = 'paid:{org}'")

    entry = await books.tx.fetchval("SELECT id FROM ledger_entries WHERE balance_after = 6 ORDER BY id DESC LIMIT 1")
    assert [fault for fault in await find_faults(books.tx) if f"entry {entry}:" in fault] == [
        f"entry {entry}: the balance after it is 6.000000, but its entries up to there add up to 6.500000"
    ]


async def test_an_organization_without_an_account(books: Books) -> None:
    await books.plant("DELETE FROM credit_accounts WHERE organization_id = '{org}'")

    assert await books.faults() == ["{org}: the organization has no account"]


@pytest.mark.parametrize(("age", "is_fault"), [("2 minutes", True), ("30 seconds", False)])
async def test_an_expired_hold_that_is_still_open(books: Books, age: str, is_fault: bool) -> None:
    await books.plant(f"UPDATE credit_holds SET expires_at = now() - interval '{age}' WHERE reference = 'open:{{org}}'")

    faults = await books.faults()

    assert len(faults) == is_fault
    assert all(fault.startswith("open:{org}: still held, but it expired at") for fault in faults)


async def test_an_action_that_is_charged_twice(books: Books) -> None:
    await books.plant(_CHARGE, reference="paid:{org}")

    assert await books.faults() == ["paid:{org}: charged 2 times"]


async def test_a_content_that_is_charged_for_two_attempts(books: Books) -> None:
    for attempt in (7, 8):
        reference = f"generation:{{content}}:{attempt}"
        await books.plant(_SETTLED_HOLD, reference=reference)
        await books.plant(_CHARGE, reference=reference)

    assert await books.faults() == [
        "content {content}: charged 2 times",
        "content {content}: it is pending, but was charged 1.000000",
    ]


async def test_a_settled_hold_whose_entry_has_another_amount(books: Books) -> None:
    await books.plant("UPDATE credit_holds SET charged = 0.25 WHERE reference = 'paid:{org}'")

    assert await books.faults() == ["paid:{org}: settled for 0.250000, but its entry says 0.500000"]


async def test_a_settled_hold_without_an_entry(books: Books) -> None:
    await books.plant(_SETTLED_HOLD, reference="unpaid:{org}")

    assert await books.faults() == ["unpaid:{org}: settled for 0.500000, but its entry says "]


async def test_a_charge_without_a_hold(books: Books) -> None:
    await books.plant(_CHARGE, reference="sudden:{org}")

    assert await books.faults() == ["sudden:{org}: charged without a settled hold"]


async def test_a_completed_content_that_was_not_charged(books: Books) -> None:
    await books.plant(_END_HOLD, reference="generation:{content}:0")
    await books.plant(_COMPLETE)

    assert await books.faults() == ["content {content}: completed for 0.500000, but charged nothing"]


async def test_an_ended_content_whose_hold_is_open(books: Books) -> None:
    await books.plant(_FAIL)

    assert await books.faults() == [
        "generation:{content}:0: held until its content ends, but none of that attempt is under way"
    ]


async def test_a_hold_of_an_attempt_that_does_not_exist(books: Books) -> None:
    await books.plant("UPDATE credit_holds SET reference = 'generation:{content}:9' WHERE reference LIKE '%{content}%'")

    assert await books.faults() == [
        "generation:{content}:9: held until its content ends, but none of that attempt is under way",
        "content {content}: it is pending, but nothing is held for it",
    ]


async def test_a_content_that_failed_and_was_charged(books: Books) -> None:
    await books.plant(_FAIL)
    await books.plant(_END_HOLD, reference="generation:{content}:0")
    await books.plant(_CHARGE, reference="generation:{content}:0")

    assert "content {content}: it is failed, but was charged 0.500000" in await books.faults()


async def test_a_pending_content_without_a_hold(books: Books) -> None:
    await books.plant(_END_HOLD, reference="generation:{content}:0")

    assert await books.faults() == ["content {content}: it is pending, but nothing is held for it"]
