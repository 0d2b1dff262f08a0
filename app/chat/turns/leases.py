import asyncio
import logging

from app.core.database import Database
from app.idempotency import service as idempotency
from app.idempotency.service import IdempotentRequest
from app.sessions import service as sessions
from app.sessions.lease import TURN_LEASE, LeasedSession

logger = logging.getLogger(__name__)


async def keep_leases(database: Database, session: LeasedSession, idempotent: IdempotentRequest | None) -> None:
    """Renew the leases on a turn's session and idempotency key until this is cancelled."""
    while True:
        await asyncio.sleep(TURN_LEASE.total_seconds() / 3)
        try:
            async with database.transaction() as tx:
                if idempotent:
                    await idempotency.renew(tx, idempotent)
                await sessions.renew_turn(tx, session)
        except Exception:  # there will be another try before the leases expire
            logger.exception("turn_lease_not_renewed", extra={"turn_id": session.turn_id})
