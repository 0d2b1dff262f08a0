import re
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from app.core.clock import moment_of
from app.core.database import Database, Transaction
from app.generations.callbacks import PATH
from app.predictions.protocol import Prediction, PredictionClient
from app.reconciliation import repository
from app.reconciliation.errors import PrunedError
from app.reconciliation.prediction_differences import (
    Difference,
    DifferenceKind,
    VendorRun,
    compare_known,
    explain_unknown,
)
from app.reconciliation.usage_differences import Usage, UsageDifference, UsageKey, compare_usage

_BATCH = 500
# A prediction is created a little later than its attempt starts, and by another clock.
_MARGIN = timedelta(minutes=5)
_WEBHOOK = re.compile(
    rf"{PATH}/(?P<content>[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}})/(?P<attempt>\d{{1,4}})/[^/]+"
)


async def reconcile_predictions(
    database: Database, client: PredictionClient, *, since: timedelta, until: timedelta = timedelta(0)
) -> list[Difference]:
    """Compare the vendor's list of predictions with the ledger. No transaction is open while the vendor is asked.

    Args:
        database: the database.
        client: of the vendor's account.
        since: how long ago the time begins that is compared.
        until: how long ago it ends.

    Returns:
        What the vendor ran and was not charged, then what was charged and the vendor does not list, each oldest first.
        Those of other software are at the end. What is still under way is left out.

    Raises:
        PredictionError: the vendor cannot be asked.
    """
    async with database.transaction() as tx:
        now = await moment_of(tx)
    begin, end = now - since, now - until
    listed: list[str] = []
    unknown: list[VendorRun] = []
    found: list[Difference] = []
    async for page in _batches(client, begin):
        listed += [prediction.id for prediction in page]
        batch = [prediction for prediction in page if prediction.created_at <= end]
        async with database.transaction() as tx:
            known = await repository.find_known(tx, [prediction.id for prediction in batch], _named_attempts(batch))
        runs = [_vendor_run(prediction) for prediction in batch]
        found += compare_known(runs, known)
        unknown += [run for run in runs if run.id not in known]
    async with database.transaction() as tx:
        lost = await repository.find_lost_calls(tx, begin - _MARGIN, end)
        not_listed = await repository.find_charged_elsewhere(tx, listed, begin + _MARGIN, end)
    explained = [*explain_unknown(unknown, lost)]
    ours = [*found, *(run for run in explained if run.kind is DifferenceKind.LOST)]
    foreign = [run for run in explained if run.kind is DifferenceKind.FOREIGN]
    return [*sorted(ours, key=lambda run: run.created_at), *not_listed, *foreign]


async def reconcile_usage(
    tx: Transaction, billed: Mapping[UsageKey, Usage], *, upstream: str | None, tolerance: Decimal
) -> list[UsageDifference]:
    """Compare an upstream's usage with what was metered from its first day to its last.

    Args:
        tx: the transaction.
        billed: the upstream's usage.
        upstream: its name among the operator's upstreams; None for the default one.
        tolerance: per cent by which the figures of a day and model may differ.

    Raises:
        PrunedError: events of the first day are pruned.
    """
    if not billed:
        return []
    days = [key.day for key in billed]
    pruned_before = await repository.find_pruned_before(tx)
    if pruned_before is not None and min(days) < pruned_before:
        raise PrunedError(pruned_before)
    metered = await repository.find_metered(tx, upstream, min(days), max(days))
    return compare_usage(billed, metered, tolerance)


async def _batches(client: PredictionClient, since: datetime) -> AsyncIterator[Sequence[Prediction]]:
    batch: list[Prediction] = []
    async for prediction in client.recent(since):
        batch.append(prediction)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _named_attempts(predictions: Sequence[Prediction]) -> list[tuple[str, uuid.UUID, int]]:
    found = [(prediction.id, _WEBHOOK.search(prediction.webhook or "")) for prediction in predictions]
    return [(id_, uuid.UUID(match["content"]), int(match["attempt"])) for id_, match in found if match]


def _vendor_run(prediction: Prediction) -> VendorRun:
    return VendorRun(
        id=prediction.id,
        model=prediction.model,
        version=prediction.version,
        status=prediction.status,
        predict_time=prediction.predict_time,
        created_at=prediction.created_at,
    )
