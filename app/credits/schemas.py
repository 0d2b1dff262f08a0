from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, PlainSerializer

from app.credits.balance import Balance

# A JSON number with at most 6 decimals. A float, which nothing is computed from, shows NUMERIC(18,6) exactly up to
# 9 billion credits.
CreditNumber = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]


class BalanceRead(BaseModel):
    """The credits that an organization has and may spend."""

    balance: CreditNumber
    held: CreditNumber
    available: CreditNumber

    @classmethod
    def of(cls, balance: Balance) -> Self:
        """The balance as the API shows it."""
        return cls(balance=balance.balance, held=balance.held, available=balance.available)
