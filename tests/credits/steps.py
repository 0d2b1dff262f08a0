"""Steps of the ledger, and two of them whose transactions overlap."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any

import asyncpg

from app.audit.actor import COMMAND_LINE
from app.core.attribution import Attribution
from app.core.database import Database, Transaction
from app.credits import service as credits
from app.credits import settlement
from app.credits.errors import InsufficientCreditsError
from app.credits.metering import MeteredUse
from app.organizations import service as organizations
from tests.credits.accounts import Account
from tests.credits.uses import make_use
from tests.factories import Organization

Step = Callable[[Account, Transaction], Awaitable[object]]


async def use_of(account: Account, call: str, cost: str = "1") -> MeteredUse:
    async with account.database.transaction() as tx:
        return await make_use(tx, account.own(call), cost)


def hold(reference: str, amount: str, expires_in: timedelta | None = None) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.hold(
            tx,
            Attribution(organization_id=account.organization.id),
            reference=account.own(reference),
            amount=Decimal(amount),
            expires_in=expires_in,
        )

    return step


def open_call(reference: str, amount: str, **costs: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        uses = [await make_use(tx, account.own(call), cost) for call, cost in costs.items()]
        await credits.open_call(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            amount=Decimal(amount),
            uses=uses,
        )

    return step


def settle(reference: str, **costs: str) -> Step:
    return _charge(credits.settle, reference, costs)


def charge_late(reference: str, **costs: str) -> Step:
    return _charge(credits.charge_late, reference, costs)


def _charge(charge: Callable[..., Awaitable[object]], reference: str, costs: Mapping[str, str]) -> Step:
    """Charge uses, each with its cost by the call that it is of."""

    async def step(account: Account, tx: Transaction) -> object:
        uses = [await make_use(tx, account.own(call), cost) for call, cost in costs.items()]
        return await charge(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            uses=uses,
            description="test",
        )

    return step


def sweep(reference: str) -> Step:
    """What the sweeper does with one hold that has expired."""

    async def step(account: Account, tx: Transaction) -> None:
        await settlement.lock_account(tx, account.organization.id)
        await settle(reference)(account, tx)

    return step


def supersede(reference: str, by: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.supersede(
            tx,
            organization_id=account.organization.id,
            reference=account.own(reference),
            by_reference=account.own(by),
        )

    return step


def void(reference: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.void(tx, organization_id=account.organization.id, reference=account.own(reference))

    return step


def grant(reference: str, amount: str) -> Step:
    async def step(account: Account, tx: Transaction) -> None:
        await credits.grant(
            tx,
            organization_id=account.organization.id,
            amount=Decimal(amount),
            reference=account.own(reference),
            actor=COMMAND_LINE,
        )

    return step


async def take(account: Account, step: Step) -> str:
    """Take the step in a transaction of its own. Returns whether it was refused."""
    try:
        async with account.database.transaction() as tx:
            await step(account, tx)
    except (InsufficientCreditsError, asyncpg.UniqueViolationError) as error:
        return type(error).__name__
    return "taken"


class RolledBackError(Exception):
    """Ends a transaction without effect."""


async def overlap(account: Account, first: Step, second: Step, *, commits: bool = True) -> list[str]:
    """Take the first step, then the second before the first one's transaction has ended. It waits where it must."""
    outcomes = ["taken"]
    waiting: asyncio.Task[str] | None = None
    try:
        async with account.database.transaction() as tx:
            await first(account, tx)
            waiting = asyncio.create_task(take(account, second))
            await _until_it_waits(account.database, waiting)
            if not commits:
                raise RolledBackError
    except RolledBackError:
        outcomes = []
    except InsufficientCreditsError as error:
        outcomes = [type(error).__name__]
    outcomes.append(await (waiting or take(account, second)))
    return outcomes


async def _until_it_waits(database: Database, task: asyncio.Task[Any]) -> None:
    while not task.done():
        async with database.transaction() as tx:
            if await tx.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                return
        await asyncio.sleep(0.002)


async def books_of(account: Account) -> str:
    """Everything that is stored about the account's credits, in one text that is the same for equal accounts."""
    await account.check()
    async with account.database.transaction() as tx:
        tables = [
            await tx.fetch(sql, account.organization.id)
            for sql in (
                "SELECT balance, held FROM credit_accounts WHERE organization_id = $1",
                (
                    "SELECT reference, amount, state, charged, superseded_by, calls_opened FROM credit_holds"
                    " WHERE organization_id = $1 ORDER BY reference"
                ),
                "SELECT call_id, hold_reference, cost FROM metering_events WHERE organization_id = $1 ORDER BY call_id",
                "SELECT kind, reference, amount FROM ledger_entries WHERE organization_id = $1 ORDER BY id",
            )
        ]
    return repr([[tuple(row) for row in table] for table in tables]).replace(account.organization.id, "")


async def new_account(database: Database, *before: Step) -> Account:
    name = f"org {secrets.token_hex(6)}"
    async with database.transaction() as tx:
        made = await organizations.create_organization(
            tx, name=name, plan="roomy", owner_email=f"{name[4:]}@example.com", actor=COMMAND_LINE
        )
        await credits.open_account(tx, made.id)
    account = Account(database, Organization(made.id, name, "", ""))
    assert await account.grant("first", "7")
    for step in before:
        assert await take(account, step) == "taken"
    return account
