"""A prediction that runs another model than was asked for, and priced."""

import logging
import uuid

from app.core.metrics import OTHER_MODELS_RUN
from app.predictions.protocol import Prediction, PredictionClient, PredictionError

logger = logging.getLogger(__name__)


async def refuse_run(
    predictions: PredictionClient, generation_id: uuid.UUID, asked: str, prediction: Prediction
) -> str:
    """Cancel the prediction, and tell the operator by an error in the log and a metric.

    The caller fails its attempt then: if this process ends in between, the attempt is still looked after.

    Returns:
        Why the attempt has failed.
    """
    found = ":".join(part for part in (prediction.model, prediction.version) if part)
    details = {"generation_id": str(generation_id), "asked": asked, "found": found}
    logger.error("other_model_run", extra={**details, "prediction_id": prediction.id})
    OTHER_MODELS_RUN.inc()
    try:
        await predictions.cancel(prediction.id)
    except PredictionError as error:
        # It is tried again once the attempt has failed. Nobody but the operator pays for it.
        logger.error("other_model_not_cancelled", extra={"prediction_id": prediction.id, "reason": error.text})
    return f"The model provider ran another model than {asked}, so the run was cancelled"
