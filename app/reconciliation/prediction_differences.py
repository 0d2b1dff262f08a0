"""The vendor's list of predictions against what was charged: pure functions."""

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

# The vendor's clock and that of Postgres may differ.
_CLOCK_MARGIN = timedelta(seconds=60)


class DifferenceKind(StrEnum):
    """How the vendor's list and the ledger differ about a prediction."""

    NOT_CHARGED = "not_charged"  # the vendor ran it for an attempt of ours, which was not charged for it
    LOST = "lost"  # the vendor ran it, and a create call whose response was lost has probably made it
    OTHER_TIME = "other_time"  # it was charged for another predict time than the vendor reports
    NOT_LISTED = "not_listed"  # it was charged, and the vendor does not list it
    FOREIGN = "foreign"  # nothing here has made it: other software uses the same account


@dataclass(frozen=True)
class VendorRun:
    """A prediction in the vendor's list. `predict_time` is in seconds; None if the vendor has not reported it."""

    id: str
    model: str
    version: str
    status: str
    predict_time: Decimal | None
    created_at: datetime

    @property
    def has_run(self) -> bool:
        """Whether the vendor has computed something, which it bills."""
        return self.status == "succeeded" or bool(self.predict_time)


@dataclass(frozen=True)
class KnownRun:
    """What is stored about a prediction.

    Attributes:
        prediction_id: the vendor's id.
        content_id: the content that it was made for.
        attempt: the number of the content's attempt.
        is_ended: whether the attempt has ended.
        is_charged: whether the attempt was charged for this prediction.
        predict_time: the seconds that were charged for; None if the vendor had not reported any, or if the charge is
            older than metering events.
    """

    prediction_id: str
    content_id: uuid.UUID
    attempt: int
    is_ended: bool
    is_charged: bool
    predict_time: Decimal | None


@dataclass(frozen=True)
class LostCall:
    """A create call without a response: it may have made a prediction between `sent_at` and `ended_at`."""

    content_id: uuid.UUID
    attempt: int
    model: str
    sent_at: datetime
    ended_at: datetime

    def may_have_made(self, run: VendorRun) -> bool:
        """Whether the prediction is of the same model, and was created while the call was under way."""
        model, _, version = self.model.partition(":")
        is_same = model in {run.model, run.version} or bool(version and version == run.version)
        return is_same and self.sent_at - _CLOCK_MARGIN <= run.created_at <= self.ended_at + _CLOCK_MARGIN


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One prediction about which the vendor's list and the ledger differ. None: it does not apply.

    `predict_time` is what the vendor reports, `charged_time` what was charged for, both in seconds.
    """

    kind: DifferenceKind
    prediction_id: str
    content_id: uuid.UUID | None = None
    attempt: int | None = None
    model: str
    status: str | None = None
    created_at: datetime
    predict_time: Decimal | None = None
    charged_time: Decimal | None = None


def compare_known(runs: Iterable[VendorRun], known: Mapping[str, KnownRun]) -> Iterator[Difference]:
    """The differences about predictions that were made here. Attempts that have not ended are left out."""
    for run in runs:
        ours = known.get(run.id)
        if ours is None or not ours.is_ended:
            continue
        if not ours.is_charged:
            if run.has_run:
                yield _difference(DifferenceKind.NOT_CHARGED, run, ours)
        elif ours.predict_time is not None and ours.predict_time != run.predict_time:
            yield _difference(DifferenceKind.OTHER_TIME, run, ours)


def explain_unknown(runs: Iterable[VendorRun], calls: Sequence[LostCall]) -> Iterator[Difference]:
    """The predictions that nothing here names: lost ones, and those of other software.

    Each lost call explains one prediction at most, the oldest call the oldest prediction.
    """
    unexplained = sorted(calls, key=lambda call: call.sent_at)
    for run in sorted(runs, key=lambda run: run.created_at):
        if not run.has_run:
            continue
        call = next((call for call in unexplained if call.may_have_made(run)), None)
        if call is None:
            yield _difference(DifferenceKind.FOREIGN, run, None)
        else:
            unexplained.remove(call)
            yield _difference(DifferenceKind.LOST, run, call)


def _difference(kind: DifferenceKind, run: VendorRun, ours: KnownRun | LostCall | None) -> Difference:
    return Difference(
        kind=kind,
        prediction_id=run.id,
        content_id=ours.content_id if ours else None,
        attempt=ours.attempt if ours else None,
        model=run.model or run.version,
        status=run.status,
        created_at=run.created_at,
        predict_time=run.predict_time,
        charged_time=ours.predict_time if isinstance(ours, KnownRun) else None,
    )
