from dataclasses import dataclass
from datetime import timedelta

from app.core.database import Database
from app.generations import progress
from app.generations.attempts import ClaimedAttempt
from app.predictions.protocol import Prediction, PredictionClient


@dataclass(frozen=True)
class Acceptance:
    """Gives attempts their predictions. An attempt is polled for the first time after `first_poll`."""

    database: Database
    predictions: PredictionClient
    first_poll: timedelta

    async def accept(self, attempt: ClaimedAttempt, prediction: Prediction) -> None:
        """Make the prediction the attempt's. If the attempt has another one or has ended, cancel the prediction."""
        async with self.database.transaction() as tx:
            is_accepted = await progress.set_prediction(
                tx, attempt.generation_id, attempt.number, prediction.id, self.first_poll
            )
            is_known = is_accepted or await progress.is_prediction_known(tx, prediction.id)
        if not is_known:
            # Nobody waits for it, so it must not go on costing.
            await self.predictions.cancel(prediction.id)
