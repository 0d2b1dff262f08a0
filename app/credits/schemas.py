from decimal import Decimal
from typing import Annotated, Self

from pydantic import BaseModel, PlainSerializer

from app.credits.service import Balance

# A JSON number with at most 6 decimals: a float of 17 significant digits shows NUMERIC(18,6) exactly up to
# 9 billion credits; arithmetic is never done on it.
CreditNumber = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]


class BalanceRead(BaseModel):
    """What an organization owns and may spend, in credits."""

    balance: CreditNumber
    held: CreditNumber
    available: CreditNumber

    @classmethod
    def of(cls, balance: Balance) -> Self:
        """The balance as the API shows it."""
        return cls(balance=balance.balance, held=balance.held, available=balance.available)
