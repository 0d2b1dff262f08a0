import json
from decimal import Decimal

import pytest

from app.cli.transaction import in_transaction
from app.core.attribution import Attribution
from app.credits.service import get_balance, hold
from tests.cli.conftest import Junis


def test_granted_credits_are_added_without_rounding(acme: str, junis: Junis) -> None:
    junis("credits", "grant", "--org", "Acme", "--amount", "12.5")

    granted = junis("credits", "grant", "--org", acme, "--amount", "0.000001", "--note", "Goodwill")

    assert granted.status == 0
    assert "The balance is 12.500001" in granted.stderr
    assert in_transaction(get_balance, acme).balance == Decimal("12.500001")


def test_a_grant_with_a_used_reference_adds_nothing(acme: str, junis: Junis) -> None:
    grant = ("credits", "grant", "--org", "Acme", "--amount", "5", "--reference", "invoice:7")
    first = junis(*grant)

    second = junis(*grant)

    assert "Granted 5 credits as invoice:7" in first.stderr
    assert (second.status, second.stderr) == (0, "invoice:7 was granted before. The balance is 5\n")


@pytest.mark.parametrize(
    ("amount", "status"), [("0", 1), ("-1", 1), ("0.0000001", 2), ("1e3", 2), ("NaN", 2), ("much", 2), ("", 2)]
)
def test_a_bad_amount_is_refused(acme: str, junis: Junis, amount: str, status: int) -> None:
    refused = junis("credits", "grant", "--org", "Acme", "--amount", amount)

    assert (refused.status, refused.stdout) == (status, "")
    assert in_transaction(get_balance, acme).balance == 0


@pytest.mark.parametrize("command", [("grant", "--amount", "1"), ("balance",)])
def test_an_unknown_organization_is_refused(acme: str, junis: Junis, command: tuple[str, ...]) -> None:
    refused = junis("credits", *command, "--org", "Nobody")

    assert (refused.status, refused.stderr) == (1, "error: Organization not found: Nobody\n")


def test_balance_shows_held_and_available_credits(acme: str, junis: Junis) -> None:
    junis("credits", "grant", "--org", "Acme", "--amount", "10")
    payer = Attribution(organization_id=acme)
    in_transaction(hold, payer, reference="turn:1", amount=Decimal("0.25"), expires_in=None)

    shown = junis("credits", "balance", "--org", "Acme").stdout
    printed = junis("credits", "balance", "--org", "Acme", "--json").stdout

    assert [line.split() for line in shown.splitlines()] == [["BALANCE", "HELD", "AVAILABLE"], ["10", "0.25", "9.75"]]
    assert json.loads(printed) == {"balance": 10, "held": 0.25, "available": 9.75}
