import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from app.cli.origin import note_origin
from app.core.database import Database, Transaction
from app.core.driver import STATEMENT_SECONDS
from app.core.settings import load_settings
from app.organizations.service import get_organization

P = ParamSpec("P")
T = TypeVar("T")

REPORT_STATEMENT_SECONDS = 3600.0


def in_transaction(action: Callable[Concatenate[Transaction, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an action of a service in one transaction on the operator's database.

    Returns:
        What the action returns, once the transaction is committed.

    Raises:
        InvalidSettingsError: a setting is missing or wrong.
        ServiceUnavailableError: Postgres cannot be reached.
    """
    return asyncio.run(_run(STATEMENT_SECONDS, lambda tx: action(tx, *args, **kwargs)))


def in_owners_transaction(
    action: Callable[Concatenate[Transaction, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run an action of a migration; see `in_transaction`. It passes by a pooler that stands in between."""
    return asyncio.run(_run(STATEMENT_SECONDS, lambda tx: action(tx, *args, **kwargs), is_direct=True))


def in_report(action: Callable[Concatenate[Transaction, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an action that reads much; see `in_transaction`. Each of its statements may take up to an hour."""
    return asyncio.run(_run(REPORT_STATEMENT_SECONDS, lambda tx: action(tx, *args, **kwargs)))


async def _run(
    statement_seconds: float, action: Callable[[Transaction], Awaitable[T]], *, is_direct: bool = False
) -> T:
    note_origin()
    database = Database.open(load_settings(), pool_size=1, statement_seconds=statement_seconds, is_direct=is_direct)
    try:
        async with database.transaction() as tx:
            return await action(tx)
    finally:
        await database.close()


def in_organization(
    action: Callable[Concatenate[Transaction, str, P], Awaitable[T]], org: str, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Run an action of a service on one organization; see `in_transaction`.

    Args:
        action: is called with the transaction, the organization's id and the other arguments.
        org: the organization's id or name.
        args: for the action.
        kwargs: for the action.

    Raises:
        OrganizationNotFoundError: no organization has that id or name.
    """

    async def run(tx: Transaction) -> T:
        organization = await get_organization(tx, org)
        return await action(tx, organization.id, *args, **kwargs)

    return in_transaction(run)
