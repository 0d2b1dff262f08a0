from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Balance:
    """How many credits an organization has, and how many of them are held."""

    balance: Decimal
    held: Decimal

    @property
    def available(self) -> Decimal:
        return self.balance - self.held
