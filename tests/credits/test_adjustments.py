"""An operator's corrections of a balance."""

import asyncio
import logging
from decimal import Decimal

import pytest

from app.audit.actor import COMMAND_LINE
from app.core.errors import InvalidRequestError
from app.credits.adjustments import Adjustment, adjust
from app.credits.balance import Balance
from tests import factories
from tests.credits.accounts import Account
from tests.faults.books import faults_of

MOST = Decimal("999999999999.999999")


async def adjust_by(
    account: Account, amount: str, reference: str = "ticket", reason: str = "Wrong grant"
) -> Adjustment:
    async with account.database.transaction() as tx:
        return await adjust(
            tx,
            account.organization.id,
            amount=Decimal(amount),
            reason=reason,
            reference=account.own(reference),
            actor=COMMAND_LINE,
        )


@pytest.mark.parametrize(("amount", "balance"), [("0.000001", "7.000001"), ("-6.999999", "0.000001"), ("-7", "0")])
async def test_the_balance_changes_by_an_entry_of_its_own(account: Account, amount: str, balance: str) -> None:
    done = await adjust_by(account, amount)

    assert done == Adjustment(f"adjustment:{account.own('ticket')}", True, Balance(Decimal(balance), Decimal(0)))
    assert await account.entries("adjustment") == [Decimal(amount)]
    assert await faults_of(account.database, account.organization) == []


async def test_the_reason_is_kept(account: Account) -> None:
    done = await adjust_by(account, "-1", reason=" Granted to the wrong organization ")

    async with account.database.transaction() as tx:
        kept = await tx.fetchval("SELECT description FROM ledger_entries WHERE reference = $1", done.reference)
    assert kept == "Granted to the wrong organization"


async def test_the_same_adjustment_is_made_once(account: Account) -> None:
    done = await asyncio.gather(*(adjust_by(account, "-2") for _ in range(5)))

    assert sorted(adjustment.is_new for adjustment in done) == [False] * 4 + [True]
    assert await account.entries("adjustment") == [-2]


async def test_the_reference_of_another_adjustment_is_refused(account: Account) -> None:
    await adjust_by(account, "-2")
    other = Account(account.database, await factories.make_organization(account.database))

    with pytest.raises(InvalidRequestError, match="another entry of the ledger"):
        await adjust_by(account, "-3")
    with pytest.raises(InvalidRequestError, match="another entry of the ledger"):
        async with account.database.transaction() as tx:
            await adjust(
                tx,
                other.organization.id,
                amount=Decimal(-2),
                reason="x",
                reference=account.own("ticket"),
                actor=COMMAND_LINE,
            )

    assert await account.entries("adjustment") == [-2]
    assert await other.entries("adjustment") == []


async def test_what_is_held_is_never_taken(account: Account) -> None:
    await account.hold("a", "2")

    with pytest.raises(InvalidRequestError, match=r"Only 5\.000000 credits are available"):
        await adjust_by(account, "-5.000001")
    await adjust_by(account, "-5")

    assert await account.balance() == Balance(Decimal(2), Decimal(2))


@pytest.mark.parametrize("amount", ["0", "0.0000001", "NaN", "Infinity", "-Infinity", "100000000000", "-100000000000"])
async def test_an_amount_that_is_none_is_refused(account: Account, amount: str) -> None:
    with pytest.raises(InvalidRequestError, match="An adjustment is an amount"):
        await adjust_by(account, amount)


@pytest.mark.parametrize(("reason", "reference"), [(" ", "ticket"), ("Wrong", "")])
async def test_a_reason_and_a_reference_are_required(account: Account, reason: str, reference: str) -> None:
    with pytest.raises(InvalidRequestError, match="needs a reason and a reference"):
        async with account.database.transaction() as tx:
            await adjust(
                tx,
                account.organization.id,
                amount=Decimal(1),
                reason=reason,
                reference=reference,
                actor=COMMAND_LINE,
            )


async def test_a_balance_that_cannot_be_stored_is_refused_in_words(account: Account) -> None:
    for number in range(10):
        await account.grant(f"grant-{number}", "99999999999")
    missing = MOST - (await account.balance()).balance

    with pytest.raises(InvalidRequestError, match=r"The balance cannot exceed 999,999,999,999\.999999"):
        await account.grant("last", "99999999999")
    with pytest.raises(InvalidRequestError, match="The balance cannot exceed"):
        await adjust_by(account, str(missing + Decimal("0.000001")))
    await adjust_by(account, str(missing))

    assert (await account.balance()).balance == MOST


async def test_an_adjustment_is_in_the_audit_log(account: Account, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    await adjust_by(account, "1")
    await adjust_by(account, "1")

    logged = [record for record in caplog.records if record.message == "credits_adjusted"]
    assert [(vars(record)["organization_id"], vars(record)["object_id"]) for record in logged] == [
        (account.organization.id, f"adjustment:{account.own('ticket')}")
    ]
