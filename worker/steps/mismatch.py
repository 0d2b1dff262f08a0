"""A prediction that runs another model than was asked for, and priced."""

import logging

from app.core.metrics import OTHER_MODELS_RUN
from app.generations.attempts import ClaimedAttempt
from app.predictions.protocol import Prediction, PredictionClient, PredictionError
from worker.steps.end import Ending

logger = logging.getLogger(__name__)


async def refuse_run(
    predictions: PredictionClient, ending: Ending, attempt: ClaimedAttempt, prediction: Prediction
) -> None:
    """Cancel the prediction, fail its attempt at no cost, and tell the operator by an error in the log and a metric.

    It is cancelled first: if this process ends in between, the attempt is still looked after.
    """
    found = ":".join(part for part in (prediction.model, prediction.version) if part)
    details = {"generation_id": str(attempt.generation_id), "asked": attempt.model, "found": found}
    logger.error("other_model_run", extra={**details, "prediction_id": prediction.id})
    OTHER_MODELS_RUN.inc()
    try:
        await predictions.cancel(prediction.id)
    except PredictionError as error:
        # It is tried again once the attempt has failed. Nobody but the operator pays for it.
        logger.error("other_model_not_cancelled", extra={"prediction_id": prediction.id, "reason": error.text})
    reason = f"The model provider ran another model than {attempt.model}, so the run was cancelled"
    await ending.fail_made(attempt, prediction.id, reason)
