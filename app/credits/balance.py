from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from asyncpg import Record


@dataclass(frozen=True)
class Balance:
    """How many credits an organization has, and how many of them are held."""

    balance: Decimal
    held: Decimal

    @property
    def available(self) -> Decimal:
        return self.balance - self.held

    @classmethod
    def from_row(cls, row: Record) -> Self:
        """The balance of a row of `credit_accounts`."""
        return cls(balance=row["balance"], held=row["held"])
