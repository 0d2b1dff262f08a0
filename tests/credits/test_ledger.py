"""What the constraints and triggers of the database itself refuse."""

import asyncpg
import pytest

from app.core.database import Database
from tests.credits.accounts import Account

HOLD = "INSERT INTO credit_holds (organization_id, reference, amount, state, charged, ended_at) VALUES ($1, $2, "
ENTRY = (
    "INSERT INTO ledger_entries (organization_id, kind, reference, amount, balance_after, is_estimated, description)"
    " VALUES ($1, "
)


async def refuse(database: Database, statement: str, *values: object) -> asyncpg.PostgresError:
    """The text of the error with which Postgres refuses the statement."""
    with pytest.raises(asyncpg.PostgresError) as refused:
        async with database.transaction() as tx:
            await tx.execute(statement, *values)
    return refused.value


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_entries SET amount = 1000 WHERE organization_id = '{id}'",
        "UPDATE ledger_entries SET description = 'another' WHERE organization_id = '{id}'",
        "DELETE FROM ledger_entries WHERE organization_id = '{id}'",
        "DELETE FROM ledger_entries WHERE false",
        "TRUNCATE ledger_entries",
    ],
)
async def test_entries_cannot_be_changed_or_deleted(account: Account, database: Database, statement: str) -> None:
    refusal = await refuse(database, statement.format(id=account.organization.id))

    assert "only ever added" in str(refusal)
    assert await account.entries("grant") == [7]


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("balance = -0.000001", "balance_not_negative"),
        ("held = -0.000001", "held_within_balance"),
        ("held = balance + 0.000001", "held_within_balance"),
        ("balance = 1000000000000", "numeric"),
    ],
)
async def test_an_impossible_balance_is_refused(
    account: Account, database: Database, change: str, constraint: str
) -> None:
    statement = f"UPDATE credit_accounts SET {change} WHERE organization_id = $1"

    assert constraint in str(await refuse(database, statement, account.organization.id))


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("-1, 'open', NULL, NULL)", "amount_not_negative"),
        ("1, 'lost', NULL, now())", "state_known"),
        ("1, 'open', NULL, now())", "ended_when_not_open"),
        ("1, 'voided', NULL, NULL)", "ended_when_not_open"),
        ("1, 'voided', 1, now())", "charged_when_settled"),
        ("1, 'settled', NULL, now())", "charged_when_settled"),
        ("1, 'settled', 'NaN', now())", "charged_not_negative"),
        ("1, 'settled', -1, now())", "charged_not_negative"),
    ],
)
async def test_an_impossible_hold_is_refused(
    account: Account, database: Database, values: str, constraint: str
) -> None:
    refusal = await refuse(database, HOLD + values, account.organization.id, account.own("bad"))

    assert constraint in str(refusal)


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        ("'gift', 'x', 1, 1, false, '')", "kind_known"),
        ("'charge', 'x', 0.000001, 1, false, '')", "charge_takes"),
        ("'grant', 'x', 0, 1, false, '')", "grant_gives"),
        ("'grant', 'x', -1, 1, false, '')", "grant_gives"),
    ],
)
async def test_an_impossible_entry_is_refused(
    account: Account, database: Database, values: str, constraint: str
) -> None:
    assert constraint in str(await refuse(database, ENTRY + values, account.organization.id))


async def test_a_reference_is_unique_in_the_ledger(account: Account, database: Database) -> None:
    await account.grant("invoice")

    statement = ENTRY + "'grant', $2, 1, 1, false, '')"
    refusal = await refuse(database, statement, account.organization.id, account.own("invoice"))

    assert isinstance(refusal, asyncpg.UniqueViolationError)
