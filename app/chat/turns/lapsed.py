"""What becomes of a turn whose process is gone, if another process knows what it had used."""

from collections.abc import Mapping, Sequence
from typing import Any

from app.chat.turns.turn import hold_reference
from app.core.database import Transaction
from app.credits import service as credits
from app.credits.metering import MeteredUse
from app.sessions import service as sessions
from app.sessions.lease import LeasedSession


async def end_lapsed(
    tx: Transaction,
    organization_id: str,
    session: LeasedSession,
    uses: Sequence[Mapping[str, Any]],
    description: str,
    *,
    has_failed: bool,
) -> None:
    """Free the turn's session, charge what it is known to have used, and release the rest of its hold.

    Should its process write more of its end later, that is not charged twice.

    Args:
        tx: the transaction.
        organization_id: who pays.
        session: the session, with the turn's lease.
        uses: as `MeteredUse.to_json` has made them.
        description: what the ledger says of it.
        has_failed: whether something went wrong.
    """
    await sessions.end_turn(tx, session, (), superseded=(), failed=has_failed)
    reference, spent = hold_reference(session.turn_id), [MeteredUse.from_json(use) for use in uses]
    settled = await credits.settle(
        tx, organization_id=organization_id, reference=reference, uses=spent, description=description
    )
    if settled is None:
        await credits.charge_late(
            tx, organization_id=organization_id, reference=reference, uses=spent, description=description
        )
