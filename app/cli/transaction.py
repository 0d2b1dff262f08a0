import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from app.core.database import Database, Transaction
from app.core.settings import load_settings
from app.organizations.service import get_organization

P = ParamSpec("P")
T = TypeVar("T")


def in_transaction(action: Callable[Concatenate[Transaction, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run an action of a service in one transaction on the operator's database.

    Returns:
        What the action returns, once the transaction is committed.

    Raises:
        InvalidSettingsError: a setting is missing or wrong.
        ServiceUnavailableError: Postgres cannot be reached.
    """

    async def run() -> T:
        database = Database.open(load_settings())
        try:
            async with database.transaction() as tx:
                return await action(tx, *args, **kwargs)
        finally:
            await database.close()

    return asyncio.run(run())


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
