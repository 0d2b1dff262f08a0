"""Attempts whose starts are claimed, and whose create calls are lost."""

from typing import Any

from app.generations.attempts import ClaimedAttempt
from app.predictions.protocol import Prediction
from tests.worker.manual_worker import ManualWorker
from tests.worker.workbench import Workbench

MODEL = "simulator/image--slow-600"


async def claim_start(bench: Workbench, worker: ManualWorker, prompt: str = "") -> ClaimedAttempt:
    """A content whose start is claimed, with a prompt that others may have too."""
    asked = await bench.ask(MODEL, **({"prompt": prompt} if prompt else {}))
    claimed = await worker.claim_start(asked)
    assert claimed is not None
    return claimed


async def claim_start_of(worker: ManualWorker, attempt: ClaimedAttempt) -> ClaimedAttempt:
    """Claim the attempt's next start."""
    claimed = await worker.claim_start(str(attempt.generation_id))
    assert claimed is not None
    return claimed


async def lose_start(bench: Workbench, worker: ManualWorker, prompt: str = "") -> ClaimedAttempt:
    """As `claim_start`, and the lease has run out."""
    claimed = await claim_start(bench, worker, prompt)
    await bench.let_lease_run_out(str(claimed.generation_id))
    return claimed


async def let_lost_calls_be_due(bench: Workbench, attempt: ClaimedAttempt) -> None:
    """Let it be time to look again for what the attempt's lost calls have made."""
    await bench.execute(
        "UPDATE create_calls SET due_at = now(), result = 'lost', ended_at = coalesce(ended_at, now())"
        " WHERE generation_id = $1 AND prediction_id IS NULL",
        str(attempt.generation_id),
    )


async def create(worker: ManualWorker, attempt: ClaimedAttempt, *, webhook: str | None = None) -> Prediction:
    """Send the attempt's create call, and do nothing with the response."""
    return await worker.resources.predictions.create(
        model=attempt.model, input=attempt.input, webhook=webhook, cancel_after=3600
    )


async def status_of(worker: ManualWorker, prediction: Prediction) -> str:
    """How far the prediction is at the vendor."""
    return (await worker.resources.predictions.get(prediction.id)).status


async def state_of(bench: Workbench, attempt: ClaimedAttempt) -> tuple[Any, Any]:
    """Status and prediction of the attempt's content."""
    async with bench.resources.database.transaction() as tx:
        row = await tx.fetchrow("SELECT status, prediction_id FROM generations WHERE id = $1", attempt.generation_id)
    assert row is not None
    return row["status"], row["prediction_id"]


async def prediction_of(bench: Workbench, attempt: ClaimedAttempt) -> str | None:
    """The prediction of the attempt's content."""
    prediction: str | None = (await state_of(bench, attempt))[1]
    return prediction
