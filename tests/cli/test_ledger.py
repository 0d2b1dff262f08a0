from datetime import timedelta
from decimal import Decimal

from app.cli.transaction import in_transaction
from app.core.attribution import Attribution
from app.core.database import Transaction
from app.credits import service as credits
from tests.cli.conftest import Junis
from tests.cli.databases import execute
from tests.credits.uses import make_use

HOUR = timedelta(hours=1)


def test_for_a_correct_ledger_one_line_is_printed(acme: str, junis: Junis) -> None:
    junis("orgs", "create", "--name", "Other", "--plan", "pro", "--owner-email", "ada@acme.example")
    junis("credits", "grant", "--org", "Acme", "--amount", "10")
    junis("catalog", "import")
    in_transaction(_hold_twice_and_settle_once, acme)

    verified = junis("verify-ledger")

    assert (verified.status, verified.stdout) == (0, "")
    assert verified.stderr == "The ledger is right; organizations: 2\n"


async def _hold_twice_and_settle_once(tx: Transaction, organization_id: str) -> None:
    payer = Attribution(organization_id=organization_id)
    for reference in ("turn:1", "turn:2"):
        await credits.hold(tx, payer, reference=reference, amount=Decimal(1), expires_in=HOUR)
    use = await make_use(tx, "turn:1:1", "0.5")
    await credits.settle(tx, organization_id=organization_id, reference="turn:1", uses=[use], description="chat")


def test_what_is_right_but_costs_credits_is_noted(database_url: str, acme: str, junis: Junis) -> None:
    junis("credits", "grant", "--org", "Acme", "--amount", "10")
    in_transaction(_lose_calls_and_charge_too_little, acme)
    execute(
        database_url,
        "INSERT INTO credit_holds (organization_id, reference, amount, state, charged, ended_at)"
        " SELECT id, 'turn:old', 0, 'settled', 0, now() FROM organizations",
    )
    execute(
        database_url,
        "INSERT INTO ledger_entries"
        " (organization_id, kind, reference, amount, balance_after, is_estimated, description)"
        " SELECT organization_id, 'charge', 'turn:old', 0, balance, false, '' FROM credit_accounts",
    )

    verified = junis("verify-ledger")

    assert (verified.status, verified.stdout) == (0, "")
    named = [f"turn:lost-{number}" for number in range(20)]
    assert verified.stderr.splitlines() == [
        "note: credits that were used and not charged, because no more were available or allowed: 5.000000 (turn:dear)",
        f"note: model calls that were opened and lost in crashes: 63 ({', '.join(named)} and 1 more)",
        "note: charges that are older than metering events and cannot be recomputed: 1",
        "The ledger is right; organizations: 1",
    ]


async def _lose_calls_and_charge_too_little(tx: Transaction, organization_id: str) -> None:
    payer = Attribution(organization_id=organization_id)
    for number in range(21):
        reference = f"turn:lost-{number}"
        await credits.hold(tx, payer, reference=reference, amount=Decimal(0), expires_in=HOUR, calls_opened=3)
        await credits.void(tx, organization_id=organization_id, reference=reference)
    await credits.hold(tx, payer, reference="turn:dear", amount=Decimal(1), expires_in=HOUR)
    use = await make_use(tx, "turn:dear:1", "15")
    await credits.settle(tx, organization_id=organization_id, reference="turn:dear", uses=[use], description="chat")


def test_a_ledger_without_organizations_is_correct(database_url: str, junis: Junis) -> None:
    assert junis("verify-ledger").stderr == "The ledger is right; organizations: 0\n"


def test_each_fault_is_printed_on_its_own_line(database_url: str, acme: str, junis: Junis) -> None:
    junis("credits", "grant", "--org", "Acme", "--amount", "10")
    execute(database_url, "UPDATE credit_accounts SET balance = balance + 1, held = 2")

    verified = junis("verify-ledger")

    assert verified.status == 1
    assert verified.stdout.splitlines() == [
        f"{acme}: balance 11.000000, but its entries add up to 10.000000",
        f"{acme}: 2.000000 held, but its open holds add up to 0",
    ]
    assert verified.stderr == "error: The ledger is wrong; faults: 2, organizations: 1\n"


def test_a_line_break_in_a_reference_is_escaped(database_url: str, acme: str, junis: Junis) -> None:
    execute(
        database_url,
        "INSERT INTO ledger_entries"
        " (organization_id, kind, reference, amount, balance_after, is_estimated, description)"
        " SELECT id, 'charge', E'turn:\\x1b[2J\\n', 0, 0, false, '' FROM organizations",
    )

    assert junis("verify-ledger").stdout == "turn:\\x1b[2J\\n: charged without a settled hold\n"
