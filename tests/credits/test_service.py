from datetime import timedelta
from decimal import Decimal

import pytest

from app.core.attribution import Attribution
from app.core.database import Database
from app.core.errors import InvalidRequestError
from app.credits import service as credits
from app.credits.balance import Balance
from app.credits.errors import InsufficientCreditsError
from tests import factories
from tests.chat.locks import locked_account
from tests.credits.accounts import Account
from tests.credits.uses import make_use


async def test_a_hold_reduces_what_is_available(account: Account) -> None:
    await account.hold("a", "2.5")

    balance = await account.balance()
    assert balance == Balance(Decimal(7), Decimal("2.5"))
    assert balance.available == Decimal("4.5")
    assert await account.entries("charge") == []


async def test_no_more_than_what_is_available_can_be_held(account: Account) -> None:
    await account.hold("a", "6.999999")

    with pytest.raises(InsufficientCreditsError):
        await account.hold("b", "0.000002")
    await account.hold("c", "0.000001")

    assert (await account.balance()).available == 0


async def test_settling_a_hold_charges_the_cost_and_releases_the_rest(account: Account) -> None:
    await account.hold("a", "2")

    charged = await account.settle("a", "0.123456")

    assert charged == Decimal("0.123456")
    assert await account.balance() == Balance(Decimal("6.876544"), Decimal(0))
    assert await account.entries("charge") == [Decimal("-0.123456")]


async def test_what_exceeds_a_hold_is_taken_from_what_is_available(account: Account) -> None:
    await account.hold("a", "2")

    assert await account.settle("a", "5") == 5
    assert await account.balance() == Balance(Decimal(2), Decimal(0))


async def test_what_others_hold_is_never_taken(account: Account) -> None:
    await account.hold("a", "2")
    await account.hold("b", "4")

    assert await account.settle("a", "5") == 3
    assert await account.balance() == Balance(Decimal(4), Decimal(4))


async def test_a_charge_of_zero_is_entered_in_the_ledger_too(account: Account) -> None:
    await account.hold("a", "2")

    assert await account.settle("a", "0") == 0
    assert await account.entries("charge") == [0]
    assert await account.balance() == Balance(Decimal(7), Decimal(0))


async def test_without_credits_a_hold_of_zero_is_possible(account: Account) -> None:
    await account.hold("a", "7")
    await account.hold("free", "0")

    assert await account.settle("free", "0") == 0


async def test_voiding_a_hold_releases_all_of_it(account: Account) -> None:
    await account.hold("a", "2")

    await account.void("a")

    assert await account.balance() == Balance(Decimal(7), Decimal(0))
    assert await account.entries("charge") == []


async def test_a_topped_up_hold_pays_for_more(account: Account) -> None:
    await account.hold("a", "1")

    await account.top_up("a", "4")

    assert (await account.balance()).held == 5
    assert await account.settle("a", "4.5") == Decimal("4.5")


async def test_a_hold_is_not_topped_up_beyond_what_is_available(account: Account) -> None:
    await account.hold("a", "1")

    with pytest.raises(InsufficientCreditsError):
        await account.top_up("a", "6.000001")

    assert (await account.balance()).held == 1


@pytest.mark.parametrize("ending", ["settle", "void"])
async def test_a_hold_can_end_only_once(account: Account, ending: str) -> None:
    await account.hold("a", "2")
    await getattr(account, ending)("a")
    ended = await account.balance()

    assert await account.settle("a", "2") is None
    await account.void("a")
    with pytest.raises(InsufficientCreditsError):
        await account.top_up("a")

    assert await account.balance() == ended


async def test_a_hold_that_was_never_made_is_not_charged(account: Account) -> None:
    assert await account.settle("nothing", "2") is None
    assert (await account.balance()).balance == 7


async def test_a_hold_of_another_organization_cannot_be_changed(account: Account, database: Database) -> None:
    await account.hold("a", "2")
    async with database.transaction() as tx:
        use = await make_use(tx, account.own("a"))
        assert not await credits.settle(
            tx, organization_id="org-other", reference=account.own("a"), uses=[use], description=""
        )
        await credits.void(tx, organization_id="org-other", reference=account.own("a"))

    assert await account.balance() == Balance(Decimal(7), Decimal(2))


async def test_a_reference_is_granted_once(account: Account) -> None:
    assert await account.grant("invoice", "5")
    assert not await account.grant("invoice", "5")

    assert (await account.balance()).balance == 12
    assert await account.entries("grant") == [7, 5]


async def test_a_reference_that_was_granted_with_another_amount_is_refused(account: Account) -> None:
    await account.grant("invoice", "5")

    with pytest.raises(InvalidRequestError, match="another entry of the ledger"):
        await account.grant("invoice", "50")

    assert await account.entries("grant") == [7, 5]


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000001", "NaN", "Infinity", "-Infinity", "100000000000"])
async def test_a_grant_must_be_a_positive_whole_number_of_millionths(account: Account, amount: str) -> None:
    with pytest.raises(InvalidRequestError):
        await account.grant("invoice", amount)

    assert (await account.balance()).balance == 7


async def test_an_organization_without_an_account_has_nothing(database: Database) -> None:
    async with database.transaction() as tx:
        assert await credits.get_balance(tx, "org-unknown") == Balance(Decimal(0), Decimal(0))
        with pytest.raises(InsufficientCreditsError):
            await credits.hold(
                tx,
                Attribution(organization_id="org-unknown"),
                reference="x",
                amount=Decimal("0.000001"),
                expires_in=None,
            )


async def test_opening_an_existing_account_keeps_its_credits(account: Account, database: Database) -> None:
    async with database.transaction() as tx:
        await credits.open_account(tx, account.organization.id)

    assert (await account.balance()).balance == 7


async def test_a_transaction_that_fails_holds_nothing(account: Account, database: Database) -> None:
    async def fail_after_a_hold() -> None:
        async with database.transaction() as tx:
            await credits.hold(
                tx,
                Attribution(organization_id=account.organization.id),
                reference=account.own("a"),
                amount=Decimal(1),
                expires_in=None,
            )
            raise LookupError

    with pytest.raises(LookupError):
        await fail_after_a_hold()

    assert (await account.balance()).held == 0


async def test_only_holds_whose_expiry_has_passed_are_voided(account: Account, database: Database) -> None:
    hour = timedelta(hours=1)
    async with database.transaction() as tx:
        for name, expires_in in (("crashed", -hour), ("running", hour), ("content", None)):
            await credits.hold(
                tx,
                Attribution(organization_id=account.organization.id),
                reference=account.own(name),
                amount=Decimal(1),
                expires_in=expires_in,
            )

    await credits.settle_expired(database)

    assert (await account.balance()).held == 2
    assert await account.settle("crashed") is None
    assert await account.settle("running") == 1
    assert await account.settle("content") == 1


async def test_the_holds_of_a_locked_account_do_not_delay_those_of_others(account: Account, database: Database) -> None:
    other = Account(database, await factories.make_organization(database))
    async with database.transaction() as tx:
        # More than are read at once, and all of them before the other account's.
        for payer, count, expires_in in ((account, 120, -2), (other, 1, -1)):
            for number in range(count):
                await credits.hold(
                    tx,
                    Attribution(organization_id=payer.organization.id),
                    reference=payer.own(str(number)),
                    amount=Decimal("0.001"),
                    expires_in=timedelta(hours=expires_in),
                )

    async with locked_account(database, account.organization):
        # The worker of the whole run may have ended some before the lock.
        before = (await account.balance()).held
        await credits.settle_expired(database)
        held = [(await payer.balance()).held for payer in (account, other)]
    await credits.settle_expired(database)

    assert held == [before, 0]
    assert (await account.balance()).held == 0
