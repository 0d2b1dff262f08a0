import base64
import secrets
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from simulator.faults.parsing import PredictionFaults
from simulator.faults.prediction import PredictionFault
from simulator.replicate.lifecycle import UPLOADED, Interventions, Plan, Progress, Status, end_of, progress_at
from simulator.replicate.models import ModelReference
from simulator.replicate.outputs import OutputFile, Outputs
from simulator.wire import Json

# Seconds since the epoch are kept to a quarter of a microsecond: at the very moment of its end a prediction
# must not seem to be still running.
_ROUNDING = 1e-6


@dataclass(slots=True)
class Prediction:
    """A prediction: what was asked, what is planned, what interrupted it.

    Attributes:
        id: Replicate's style: 26 lower-case letters and digits.
        reference: The model.
        values: Its input.
        faults: Those that concern it.
        plan: How it goes.
        outputs: What it answers.
        base_url: Where its caller reaches the simulator.
        created_at: Seconds since the epoch.
        retention: Seconds after its end at which its data is removed.
        webhook: Where to report to.
        webhook_events: About what; empty: Replicate's default.
        interventions: A deadline, a cancelation.
        requests: How often each fault was due, to let it pass after so many times.
    """

    id: str
    reference: ModelReference
    values: Json
    faults: PredictionFaults
    plan: Plan
    outputs: Outputs
    base_url: str
    created_at: float
    retention: float
    webhook: str | None = None
    webhook_events: tuple[str, ...] = ()
    interventions: Interventions = field(default_factory=Interventions)
    requests: Counter[PredictionFault] = field(default_factory=Counter)

    def progress(self, now: float) -> Progress:
        """Its state at a moment (seconds since the epoch)."""
        return progress_at(self.plan, self.interventions, now - self.created_at + _ROUNDING)

    @property
    def ends_at(self) -> float:
        """When it ends, in seconds since the epoch."""
        return self.created_at + end_of(self.plan, self.interventions)

    def is_data_removed(self, now: float) -> bool:
        """Whether its input, output, logs and files are gone."""
        if PredictionFault.DATA_REMOVED in self.faults:
            return now >= self.ends_at
        return now >= self.ends_at + self.retention

    def has_files(self, now: float) -> bool:
        """Whether its files can be fetched: from shortly before it succeeds until its data is removed."""
        if self.has_early_output(now):
            return True
        progress = self.progress(now)
        if progress.status is Status.PROCESSING:
            return progress.share >= UPLOADED and self.plan.outcome is Status.SUCCEEDED
        if progress.status is not Status.SUCCEEDED or self.is_data_removed(now):
            return False
        grace = self.faults.get(PredictionFault.DELIVERY_EXPIRED)
        return grace is None or now < self.ends_at + grace

    def has_early_output(self, now: float) -> bool:
        """Whether it has its output though its status is still ``processing``."""
        is_processing = self.progress(now).status is Status.PROCESSING
        return is_processing and PredictionFault.PROCESSING_WITH_OUTPUT in self.faults


def new_id() -> str:
    """An id in Replicate's style."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


class PredictionStore:
    """The predictions in memory, the oldest forgotten beyond a maximum."""

    def __init__(self, max_predictions: int) -> None:
        self._max_predictions = max_predictions
        self._predictions: dict[str, Prediction] = {}  # in the order of their creation
        self._files: dict[str, tuple[Prediction, OutputFile]] = {}

    def __len__(self) -> int:
        return len(self._predictions)

    def add(self, prediction: Prediction) -> None:
        """Keep a prediction and the files it will have."""
        self._predictions[prediction.id] = prediction
        for file in prediction.outputs.files:
            self._files[file.token] = (prediction, file)
        if len(self._predictions) > self._max_predictions:
            self._forget(next(iter(self._predictions)))

    def get(self, prediction_id: str) -> Prediction | None:
        """Find a prediction by its id."""
        return self._predictions.get(prediction_id)

    def file(self, token: str) -> tuple[Prediction, OutputFile] | None:
        """Find a file, and the prediction it belongs to, by the unguessable part of its path."""
        return self._files.get(token)

    def newest_first(self) -> Iterator[Prediction]:
        """All predictions."""
        return reversed(self._predictions.values())

    def clear(self) -> None:
        """Forget everything."""
        self._predictions.clear()
        self._files.clear()

    def _forget(self, prediction_id: str) -> None:
        for file in self._predictions.pop(prediction_id).outputs.files:
            del self._files[file.token]
