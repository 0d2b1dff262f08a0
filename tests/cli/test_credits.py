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


def test_a_reference_that_was_granted_with_another_amount_is_refused(acme: str, junis: Junis) -> None:
    grant = ("credits", "grant", "--org", "Acme", "--reference", "invoice:7", "--amount")
    junis(*grant, "5")

    refused = junis(*grant, "50")

    text = "error: invoice:7 is already the reference of another entry of the ledger\n"
    assert (refused.status, refused.stderr) == (1, text)


@pytest.mark.parametrize(
    "reference", ["monthly:org:2027-01", "late:call", "superseded:turn:1", "turn:1", "generation:1:0", "adjustment:7"]
)
def test_a_reference_that_the_server_may_need_itself_cannot_be_granted(acme: str, junis: Junis, reference: str) -> None:
    refused = junis("credits", "grant", "--org", "Acme", "--amount", "5", "--reference", reference)

    text = f"error: {reference} begins as the server's own references do: choose another one\n"
    assert (refused.status, refused.stderr) == (1, text)
    assert in_transaction(get_balance, acme).balance == 0


def test_a_grant_that_the_balance_cannot_hold_is_refused_in_words(acme: str, junis: Junis) -> None:
    grants = [junis("credits", "grant", "--org", "Acme", "--amount", "99999999999") for _ in range(11)]

    assert [grant.status for grant in grants] == [0] * 10 + [1]
    assert grants[-1].stderr == "error: The balance cannot exceed 999,999,999,999.999999\n"


def adjustment(amount: str, **options: str) -> list[str]:
    given = {"org": "Acme", "amount": amount, "reason": "Granted twice", "reference": "ticket-17"} | options
    return ["credits", "adjust", *(text for name, value in given.items() for text in (f"--{name}", value))]


def test_an_adjustment_corrects_the_balance_once(acme: str, junis: Junis) -> None:
    junis("credits", "grant", "--org", "Acme", "--amount", "10")

    made, repeated, other = junis(*adjustment("-2.5")), junis(*adjustment("-2.5")), junis(*adjustment("2.5"))

    assert made.stderr == "Adjusted by -2.5 credits as adjustment:ticket-17. The balance is 7.5\n"
    assert repeated.stderr == "adjustment:ticket-17 was made before. The balance is 7.5\n"
    assert [made.status, repeated.status, other.status] == [0, 0, 1]
    assert other.stderr == "error: adjustment:ticket-17 is already the reference of another entry of the ledger\n"
    assert junis("verify-ledger").status == 0


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (adjustment("-11"), 1),
        (adjustment("0"), 1),
        (adjustment("0.0000001"), 2),
        (adjustment("1", reason=""), 1),
        (adjustment("1", org="Nobody"), 1),
        (adjustment("1")[:-2], 2),
    ],
)
def test_an_adjustment_that_is_wrong_is_refused(acme: str, junis: Junis, arguments: list[str], status: int) -> None:
    junis("credits", "grant", "--org", "Acme", "--amount", "10")

    assert junis(*arguments).status == status
    assert in_transaction(get_balance, acme).balance == 10


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
