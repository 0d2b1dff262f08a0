"""The account of each organization: its charges add up to what the vendor's log says, and its balance to the rest."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from chaos.generation_charges import cost_of
from chaos.model_runs import NOTHING, Bounds
from chaos.tables import Content, LedgerEntry
from chaos.vendor import Vendor

_GRANT = "grant"


@dataclass(frozen=True)
class Account:
    """What an organization was granted and charged by its ledger, and what it was to be charged by the vendor's log."""

    granted: Decimal
    charged: Decimal
    due: Bounds


@dataclass(frozen=True)
class Balance:
    """What the API says that an organization has, and how much of it is held."""

    balance: Decimal
    held: Decimal


def accounts_of(
    vendor: Vendor, contents: Sequence[Content], entries: Sequence[LedgerEntry], chats: Mapping[str, Bounds]
) -> dict[str, Account]:
    """The account of each organization; `chats` is what the chats of each may cost."""
    granted: dict[str, Decimal] = defaultdict(Decimal)
    charged: dict[str, Decimal] = defaultdict(Decimal)
    for entry in entries:
        if entry.kind == _GRANT:
            granted[entry.organization_id] += entry.amount
        else:
            charged[entry.organization_id] -= entry.amount
    predictions = {prediction["id"]: prediction for prediction in vendor.predictions}
    due: dict[str, Bounds] = defaultdict(lambda: NOTHING, chats)
    for content in contents:
        if content.status == "completed" and content.prediction_id in predictions:
            cost = cost_of(predictions[content.prediction_id])
            due[content.organization_id] += Bounds(cost, cost)
    return {name: Account(granted[name], charged[name], due[name]) for name in {*granted, *charged, *due}}


def check_accounts(accounts: Mapping[str, Account], balances: Mapping[str, Balance]) -> list[str]:
    """Charges are what is due, and the balance that the API shows is what is left. Nothing is held."""
    violations = []
    for name, account in sorted(accounts.items()):
        if account.charged not in account.due:
            due = account.due
            violations.append(f"{name}: charged {account.charged} in all; {due.least} to {due.most} are due")
        shown, left = balances.get(name), account.granted - account.charged
        if shown is None:
            violations.append(f"{name}: the API does not say what it has")
        elif shown != Balance(left, Decimal(0)):
            violations.append(f"{name}: shows {shown.balance}, of it held {shown.held}, instead of {left}")
    return violations
