"""An account whose charges or balance are not what the vendor's log says is reported."""

from decimal import Decimal

from chaos.accounts import Balance, accounts_of, check_accounts
from chaos.model_runs import Bounds
from tests.chaos.evidence import ORGANIZATION, charge, content, grant, prediction, vendor

SEEN = vendor(predictions=[prediction("one")])
CONTENTS = [content(prediction_id="one")]
CHATS = {ORGANIZATION: Bounds(Decimal("0.001"), Decimal("0.002"))}
ENTRIES = [grant("5"), charge("0.017110"), charge("0.0015", "turn:turn-1")]


def test_charges_that_are_due_are_accepted() -> None:
    accounts = accounts_of(SEEN, CONTENTS, ENTRIES, CHATS)

    assert check_accounts(accounts, {ORGANIZATION: Balance(Decimal("4.981390"), Decimal(0))}) == []


def test_charges_above_and_below_what_is_due_are_reported() -> None:
    for further in ("0.000501", "-0.000501"):
        entries = [*ENTRIES, charge(further, "turn:turn-2")]

        left = Balance(Decimal("4.981390") - Decimal(further), Decimal(0))

        [told] = check_accounts(accounts_of(SEEN, CONTENTS, entries, CHATS), {ORGANIZATION: left})

        assert "0.018110 to 0.019110 are due" in told


def test_a_balance_that_is_not_what_is_left_is_reported() -> None:
    accounts = accounts_of(SEEN, CONTENTS, ENTRIES, CHATS)

    for balance, held in (("4.981389", "0"), ("4.981390", "0.1")):
        [told] = check_accounts(accounts, {ORGANIZATION: Balance(Decimal(balance), Decimal(held))})
        assert f"shows {balance}, of it held {held}" in told


def test_an_account_that_the_api_does_not_show_is_reported() -> None:
    [told] = check_accounts(accounts_of(SEEN, CONTENTS, ENTRIES, CHATS), {})

    assert told == f"{ORGANIZATION}: the API does not say what it has"
