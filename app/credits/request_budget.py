"""What a request with `max_credits` has left for its generations."""

from contextlib import AbstractAsyncContextManager, nullcontext
from decimal import Decimal
from typing import Protocol

from app.core.database import Transaction
from app.credits import settlement
from app.credits.errors import MaxCreditsReachedError


class Budget(Protocol):
    """What is left of what a request may cost."""

    def spending(self) -> AbstractAsyncContextManager[None]:
        """Entered before the transaction in which something is taken; left after its end, however that was."""
        ...

    async def take(self, tx: Transaction, amount: Decimal) -> None:
        """Take what is to be held for a generation.

        Raises:
            MaxCreditsReachedError: less than that is left.
        """
        ...

    async def adopt(self, tx: Transaction, organization_id: str, reference: str) -> None:
        """Take what is held for a generation, or was charged, that an earlier run of the same request asked for.

        Raises:
            MaxCreditsReachedError: less than that is left.
        """
        ...


class RequestBudget:
    """The budget of a request that asks for generations in one transaction, and for nothing else."""

    def __init__(self, max_credits: Decimal) -> None:
        self._left = max_credits

    def spending(self) -> AbstractAsyncContextManager[None]:
        """See `Budget.spending`."""
        return nullcontext()

    async def take(self, _: Transaction, amount: Decimal) -> None:
        """See `Budget.take`."""
        if amount > self._left:
            raise MaxCreditsReachedError
        self._left -= amount

    async def adopt(self, tx: Transaction, organization_id: str, reference: str) -> None:
        """See `Budget.adopt`."""
        await self.take(tx, await settlement.find_amount(tx, organization_id, reference))


def budget_of(max_credits: Decimal | None) -> RequestBudget | None:
    """The budget of a request that asks for generations only; None if it has no limit."""
    return None if max_credits is None else RequestBudget(max_credits)
