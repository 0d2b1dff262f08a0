"""What the metrics say of attempts: how they ended, and how long each stage took. It is counted after the commit."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from time import monotonic

from app.core.clock import now
from app.core.metrics import GENERATIONS, STAGE_SECONDS
from app.core.tracing import span_var
from app.credits.counting import count_use
from app.credits.models import EventKind
from app.generations.attempts import Attempt, ClaimedAttempt


class Reason(StrEnum):
    """Why an attempt has failed."""

    REJECTED = "rejected"  # the vendor refuses the input
    MODEL_MISSING = "model_missing"  # the vendor does not know the model
    OTHER_MODEL = "other_model"  # the vendor ran another model than was asked
    PREDICTION_FAILED = "prediction_failed"  # the prediction failed or was cancelled, or has no usable output
    PREDICTION_LOST = "prediction_lost"  # the vendor does not know the prediction any more
    OUTPUT_REFUSED = "output_refused"  # its files may not be copied: their size, their number, their host
    DEADLINE = "deadline"  # it did not end in time


_COMPLETED = GENERATIONS.labels("completed", "none")
_FAILED = {reason: GENERATIONS.labels("failed", reason.value) for reason in Reason}
_QUEUE, _VENDOR, _COPY, _WHOLE = (STAGE_SECONDS.labels(stage) for stage in ("queue", "vendor", "copy", "whole"))


def count_started(attempt: ClaimedAttempt) -> None:
    """Count an attempt that has its prediction. A retry has waited since a moment that is not known here."""
    if attempt.number == 0 and attempt.started_at is not None:
        _QUEUE.observe(max(0.0, (attempt.started_at - attempt.created_at).total_seconds()))


def count_finished(attempts: Iterable[Attempt]) -> None:
    """Count attempts whose predictions are known to have ended."""
    for attempt in attempts:
        if attempt.started_at is not None:
            _VENDOR.observe(_seconds_since(attempt.started_at))


def count_completed(attempt: ClaimedAttempt, cost: Decimal) -> None:
    """Count an attempt whose files are stored, and what it costs in credits."""
    _COMPLETED.inc()
    _COPY.observe(monotonic() - attempt.claimed_at)
    if attempt.number == 0:
        _WHOLE.observe(_seconds_since(attempt.created_at))
    count_use(EventKind.GENERATION, attempt.model, cost)


def count_failed(reason: Reason, *, has_failed: bool = True) -> None:
    """Count an attempt that has failed, and say it of the current span, unless somebody else has ended it before."""
    if has_failed:
        _FAILED[reason].inc()
        if (span := span_var.get()) is not None:
            span.fail(reason.value)


def _seconds_since(moment: datetime) -> float:
    # By two clocks, that of Postgres and this machine's.
    return max(0.0, (now() - moment).total_seconds())
