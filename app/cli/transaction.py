import asyncio
from collections.abc import Awaitable, Callable
from typing import Concatenate, ParamSpec, TypeVar

from app.core.database import Database, Transaction
from app.core.settings import Settings, load_settings

P = ParamSpec("P")
T = TypeVar("T")


def in_transaction(action: Callable[Concatenate[Transaction, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run the action in one transaction on the operator's database.

    Returns:
        What the action returns, once it is committed.

    Raises:
        InvalidSettingsError: the environment is missing something or holds something bad.
        ServiceUnavailableError: Postgres cannot be reached.
    """
    return asyncio.run(_transact(load_settings(), action, *args, **kwargs))


async def _transact(
    settings: Settings,
    action: Callable[Concatenate[Transaction, P], Awaitable[T]],
    *args: P.args,
    **kwargs: P.kwargs,
) -> T:
    database = Database.open(settings)
    try:
        async with database.transaction() as tx:
            return await action(tx, *args, **kwargs)
    finally:
        await database.close()
