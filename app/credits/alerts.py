"""Alerts of credits that run low: amounts below which an organization's owners and admins are told.

Credits fall with every hold and charge, which must not wait for anybody's thresholds. So a worker compares them every
few seconds; see docs/adr/0027-credits-that-run-low.md.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.audit.actor import Actor
from app.audit.service import log_change
from app.catalog.pricing import SIX_DECIMALS
from app.core.database import Database, Transaction
from app.core.errors import InvalidRequestError, NotFoundError
from app.credits import alert_mail, settlement
from app.mail import service as mail
from app.organizations import service as organizations
from app.webhook_endpoints import outbox
from app.webhook_endpoints.models import EventType
from app.webhook_endpoints.outbox import NewEvent

logger = logging.getLogger(__name__)

MOST_ALERTS = 5
_LARGEST_THRESHOLD = Decimal(10) ** 11
_SWEEP_SIZE = 100

# The lowest threshold that less is available than, or null: an expression of the name of a row of `credit_accounts`.
# It looks at the few alerts of one organization.
CROSSED_SQL = """
(SELECT min(threshold) FROM credit_alerts t
 WHERE t.organization_id = {account}.organization_id AND t.threshold > {account}.balance - {account}.held)
"""
_CROSSED = f"SELECT {CROSSED_SQL.format(account='a')} FROM credit_accounts a WHERE organization_id = $1"

_LIST = """
SELECT id, threshold, raised_at FROM credit_alerts WHERE organization_id = $1 ORDER BY threshold DESC
"""
# The account's lock keeps two requests from adding one alert too many.
_ADD = """
INSERT INTO credit_alerts (organization_id, threshold) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING id
"""
_REMOVE = "DELETE FROM credit_alerts WHERE organization_id = $1 AND id = $2 RETURNING threshold"

# Each alert is told once. It can be told again once more is available than its threshold and credits have come in,
# which alone lets a balance rise. Holds come and go, so without new credits it takes an hour.
_FORGET = """
UPDATE credit_alerts t SET raised_at = NULL, raised_balance = NULL FROM credit_accounts a
WHERE t.raised_at IS NOT NULL AND a.organization_id = t.organization_id AND a.balance - a.held >= t.threshold
  AND (a.balance > t.raised_balance OR t.raised_at < now() - interval '1 hour')
"""
_RAISE = f"""
WITH low AS (
    SELECT t.id, a.balance, a.held FROM credit_alerts t JOIN credit_accounts a USING (organization_id)
    WHERE t.raised_at IS NULL AND a.balance - a.held < t.threshold
    ORDER BY t.id LIMIT {_SWEEP_SIZE} FOR UPDATE OF t SKIP LOCKED
)
UPDATE credit_alerts t SET raised_at = now(), raised_balance = low.balance FROM low WHERE t.id = low.id
RETURNING t.organization_id, t.threshold, low.balance, low.held
"""


@dataclass(frozen=True)
class Alert:
    """A threshold in credits, and since when it is known that less is available; None: it is not."""

    id: int
    threshold: Decimal
    raised_at: datetime | None


async def crossed_threshold(tx: Transaction, organization_id: str) -> Decimal | None:
    """The lowest of the organization's thresholds that less is available than at this moment; None: there is none."""
    crossed: Decimal | None = await tx.fetchval(_CROSSED, organization_id)
    return crossed


async def list_alerts(tx: Transaction, organization_id: str) -> Sequence[Alert]:
    """The organization's alerts, the highest threshold first."""
    rows = await tx.fetch(_LIST, organization_id)
    return [Alert(row["id"], row["threshold"], row["raised_at"]) for row in rows]


async def add_alert(tx: Transaction, organization_id: str, threshold: Decimal, *, actor: Actor) -> None:
    """Alert the organization when less than this is available.

    Raises:
        InvalidRequestError: it is not a positive amount of at most 6 decimals, there is such an alert already, or there
            are as many as there may be.
    """
    is_amount = threshold.is_finite() and 0 < threshold < _LARGEST_THRESHOLD
    if not is_amount or threshold != threshold.quantize(SIX_DECIMALS):
        raise InvalidRequestError("Enter an amount above 0 with at most 6 decimals, such as 25")
    await settlement.lock_account(tx, organization_id)
    if len(await list_alerts(tx, organization_id)) >= MOST_ALERTS:
        raise InvalidRequestError(f"There are {MOST_ALERTS} alerts already, as many as there may be. Remove one first")
    if await tx.fetchval(_ADD, organization_id, threshold) is None:
        raise InvalidRequestError("There is an alert at this amount already")
    added = {"threshold": threshold}
    log_change(
        tx, actor, "credit_alert_added", organization_id=organization_id, object_id=f"{threshold:f}", after=added
    )


async def remove_alert(tx: Transaction, organization_id: str, alert_id: int, *, actor: Actor) -> None:
    """Remove one of the organization's alerts.

    Raises:
        NotFoundError: it has no such alert.
    """
    threshold: Decimal | None = await tx.fetchval(_REMOVE, organization_id, alert_id)
    if threshold is None:
        raise NotFoundError("Alert not found")
    log_change(
        tx,
        actor,
        "credit_alert_removed",
        organization_id=organization_id,
        object_id=f"{threshold:f}",
        before={"threshold": threshold},
    )


async def watch_alerts(database: Database, *, usage_url: str, sends_mail: bool) -> int:
    """Tell those whose credits have fallen below a threshold: in the log, by webhooks and, if it is set up, by mail.

    An alert is marked in the transaction that writes its events and mails. So each is told once, by one worker.

    Args:
        database: the database.
        usage_url: where mails lead.
        sends_mail: whether mail is set up. What is not sent now is not sent later.

    Returns:
        How many alerts were raised.
    """
    raised = 0
    while True:
        async with database.transaction() as tx:
            await tx.execute(_FORGET)
            rows = await tx.fetch(_RAISE)
            for organization_id, row in _lowest(rows).items():
                await _tell(tx, organization_id, row, usage_url if sends_mail else None)
        raised += len(rows)
        if len(rows) < _SWEEP_SIZE:
            return raised


def _lowest(rows: Sequence[Any]) -> Mapping[str, Any]:
    """The alert with the lowest threshold for each organization, so that it gets one message and not several."""
    return {row["organization_id"]: row for row in sorted(rows, key=lambda row: -row["threshold"])}


async def _tell(tx: Transaction, organization_id: str, row: Any, usage_url: str | None) -> None:
    organization = await organizations.get_organization(tx, organization_id)
    low = alert_mail.LowCredits(organization.name, row["threshold"], row["balance"], row["held"])
    details = {
        "organization_id": organization_id,
        "threshold": f"{low.threshold:f}",
        "available": f"{low.available:f}",
    }

    async def log() -> None:
        logger.warning("credits_low", extra=details)

    tx.after_commit(log)
    amounts = {"threshold": low.threshold, "available": low.available, "balance": low.balance, "held": low.held}
    data = {name: float(amount) for name, amount in amounts.items()}
    await outbox.write(tx, organization_id, [NewEvent(EventType.CREDITS_LOW, organization_id, data)])
    if usage_url is not None:
        for address in await organizations.list_manager_addresses(tx, organization_id):
            await mail.write(tx, address, alert_mail.subject(low), alert_mail.body(low, usage_url))
