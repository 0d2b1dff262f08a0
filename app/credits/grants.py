"""What plans give every month."""

import logging
from datetime import datetime

from asyncpg import Record

from app.core.database import Database
from app.credits import repository, service

logger = logging.getLogger(__name__)


async def grant_monthly_credits(database: Database, moment: datetime) -> int:
    """Give every subscribed organization its plan's credits for the calendar month (UTC) of `moment`, once.

    Any number of workers may do so at once, any number of times.

    Returns:
        How many organizations were given theirs now.
    """
    period = f"{moment:%Y-%m}"
    async with database.transaction() as tx:
        due = await repository.find_monthly_grants(tx, period)
    granted = 0
    for row in due:
        try:
            granted += await _grant(database, row, period)
        except Exception:  # the others get theirs all the same; this one comes again
            logger.exception("monthly_credits_not_granted", extra={"organization_id": row["organization_id"]})
    if granted:
        logger.info("monthly_credits_granted", extra={"period": period, "organizations": granted})
    return granted


async def _grant(database: Database, row: Record, period: str) -> bool:
    async with database.transaction() as tx:
        return await service.grant(
            tx,
            organization_id=row["organization_id"],
            amount=row["monthly_credits"],
            reference=row["reference"],
            description=f"{row['plan_name']} {period}",
        )
