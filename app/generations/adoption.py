"""Whose a prediction is that the vendor lists and that no response of the vendor's has named.

Predictions of equal calls are interchangeable: any of them will do for any of the attempts. A prediction with a webhook
belongs to the attempt that the webhook names, and to no other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from app.core.database import Transaction
from app.generations import attempt_history, create_calls, progress
from app.generations.attempts import ClaimedAttempt
from app.generations.callbacks import NamedAttempt
from app.generations.create_calls import LostCall, Surplus
from app.generations.states import UNENDED
from app.predictions.protocol import is_run_of

# The vendor's clock and ours may differ by so much.
CLOCK_MARGIN = timedelta(seconds=60)

_NAMED = "SELECT retry_count, status, prediction_id FROM generations WHERE id = $1 AND webhook_nonce = $2 FOR UPDATE"


@dataclass(frozen=True)
class Found:
    """A prediction in the vendor's list.

    `named` is the attempt that its webhook names. If it has none, `fits` are the lost calls with its model and input.
    """

    id: str
    model: str
    version: str
    created_at: datetime
    named: NamedAttempt | None
    fits: frozenset[int] = frozenset()


class Decision(Enum):
    """What has become of a prediction that was found."""

    TAKEN = auto()  # it is the attempt's, or surplus
    KNOWN = auto()  # another attempt has it
    OPEN = auto()  # it may be that of a call in flight, so nothing is decided yet
    LOST = auto()  # the claim, or the lost call, is not what it was: another worker has decided


def is_in_window(call: LostCall, created_at: datetime) -> bool:
    """Whether a prediction that was created then can be that of the call."""
    return call.sent_at - CLOCK_MARGIN <= created_at <= call.ended_at + CLOCK_MARGIN


async def adopt(
    tx: Transaction, orphan: ClaimedAttempt, call: LostCall | None, found: Found, first_poll: timedelta
) -> Decision:
    """Give the prediction to an attempt that waits for one. `call` is the attempt's lost call that it fits."""
    await attempt_history.lock_prediction(tx, found.id)
    if found.id in await attempt_history.find_known(tx, [found.id]):
        return Decision.KNOWN
    if found.named is None and call is not None and await _has_rival(tx, call, found, with_waiting=False):
        return Decision.OPEN
    if not await progress.set_prediction(tx, orphan, found.id, first_poll):
        return Decision.LOST
    if call is None or not await create_calls.match(tx, call, found.id):
        await create_calls.record(tx, orphan.generation_id, orphan.number, found.id)
    return Decision.TAKEN


async def claim_surplus(tx: Transaction, call: LostCall, found: Found, lease: timedelta) -> Decision:
    """Write down that a lost call made the prediction, and that no attempt needs it. The caller cancels it then.

    Each lost call accounts for one prediction at most, so no more are cancelled than calls were lost.
    """
    await attempt_history.lock_prediction(tx, found.id)
    if found.id in await attempt_history.find_known(tx, [found.id]):
        return Decision.KNOWN
    if await _has_rival(tx, call, found, with_waiting=True):
        return Decision.OPEN
    is_matched = await create_calls.match(tx, call, found.id, cancel_after=lease)
    return Decision.TAKEN if is_matched else Decision.LOST


async def claim_named_surplus(tx: Transaction, found: Found, lease: timedelta) -> list[Surplus]:
    """Write down that a prediction whose webhook names an attempt of ours is not needed by it.

    Returns:
        It, for the caller to cancel; nothing if it is needed, may be needed yet, or does not name an attempt of ours.
    """
    named = found.named
    if named is None:
        return []
    await attempt_history.lock_prediction(tx, found.id)
    row = await tx.fetchrow(_NAMED, named.generation_id, named.nonce)
    if (
        row is None
        or named.attempt > row["retry_count"]
        or found.id in await attempt_history.find_known(tx, [found.id])
    ):
        return []
    has_ended = named.attempt < row["retry_count"] or row["status"] not in UNENDED
    if not (has_ended or row["prediction_id"]) or await create_calls.is_open(tx, named.generation_id, named.attempt):
        return []
    await create_calls.record(tx, named.generation_id, named.attempt, found.id)
    return await create_calls.order_cancel(tx, found.id, after=lease)


async def find_unknown(tx: Transaction, found: Sequence[Found]) -> list[Found]:
    """Those of the predictions that no attempt and no create call has or had, oldest first."""
    known = await attempt_history.find_known(tx, [prediction.id for prediction in found])
    return sorted(
        (prediction for prediction in found if prediction.id not in known),
        key=lambda prediction: (prediction.created_at, prediction.id),
    )


async def _has_rival(tx: Transaction, call: LostCall, found: Found, *, with_waiting: bool) -> bool:
    """Whether the prediction may be that of another call, of which the vendor's response may still come."""
    models = await create_calls.find_rivals(tx, call, found.created_at + CLOCK_MARGIN, with_waiting=with_waiting)
    return any(is_run_of(model, found.model, found.version) for model in models)
