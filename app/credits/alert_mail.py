"""What the mail about credits that run low says."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class LowCredits:
    """An organization, the threshold that its credits have fallen below, and what it had then."""

    organization: str
    threshold: Decimal
    balance: Decimal
    held: Decimal

    @property
    def available(self) -> Decimal:
        return self.balance - self.held


def subject(low: LowCredits) -> str:
    """The subject, which names the organization and the threshold."""
    return f"{low.organization}: less than {_short(low.threshold)} credits available"


def body(low: LowCredits, usage_url: str) -> str:
    """The text, with the exact figures and what happens without credits."""
    width = max(len(f"{amount:,f}") for amount in (low.available, low.held, low.balance))
    return f"""\
The credits available to {low.organization} have fallen below {_short(low.threshold)}.

Available  {low.available:>{width},f}
Held       {low.held:>{width},f}
Balance    {low.balance:>{width},f}

Without credits, requests are refused with 402. Whoever runs this server can grant more.

What they are spent on:
{usage_url}

You get this mail because you are an owner or an admin of {low.organization}. The amounts
below which it is sent are on that page, too.
"""


def _short(amount: Decimal) -> str:
    """The amount without zeros at its end."""
    text = f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
