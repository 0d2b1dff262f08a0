"""Predictions as they go over the wire."""

from typing import Any

from simulator.clock import timestamp
from simulator.faults.prediction import PredictionFault
from simulator.media.formats import Medium
from simulator.media.scene import NOTICE
from simulator.replicate.lifecycle import Progress, Status
from simulator.replicate.predictions import Prediction
from simulator.wire import Json

UNKNOWN_STATUS = "hibernating"

_STEPS = 10


def prediction_object(prediction: Prediction, now: float, *, has_output: bool = False) -> Json:
    """The prediction as it is at a moment.

    Args:
        prediction: Which.
        now: Seconds since the epoch.
        has_output: Show its output though its status is still ``processing``, as ``output`` webhooks do.
    """
    progress = prediction.progress(now)
    is_removed = prediction.is_data_removed(now)
    document = {
        "id": prediction.id,
        "model": prediction.reference.label,
        "version": prediction.reference.version,
        "input": {} if is_removed else prediction.values,
        "logs": "" if is_removed else _logs(progress),
        "output": None if is_removed else _output(prediction, progress, has_output=has_output),
        "data_removed": is_removed,
        "error": prediction.plan.error if progress.status is Status.FAILED else None,
        "source": "api",
        "status": _status(prediction, progress),
        "created_at": timestamp(prediction.created_at),
        "started_at": _moment(prediction, progress.started),
        "completed_at": _moment(prediction, progress.completed),
        "urls": _urls(prediction),
    }
    return document | _optional(prediction, progress)


def _optional(prediction: Prediction, progress: Progress) -> Json:
    """The members that are absent rather than null."""
    members: Json = {}
    if prediction.interventions.deadline is not None:
        members["deadline"] = _moment(prediction, prediction.interventions.deadline)
    if prediction.webhook is not None:
        members["webhook"] = prediction.webhook
    if prediction.webhook_events:
        members["webhook_events_filter"] = list(prediction.webhook_events)
    if progress.is_terminal:
        members["metrics"] = _metrics(prediction, progress)
    if PredictionFault.UNKNOWN_FIELDS in prediction.faults:
        members["aura"] = {"colour": "unknown"}
        members.setdefault("metrics", {})["aura_count"] = 7
    return members


def _status(prediction: Prediction, progress: Progress) -> str:
    if PredictionFault.UNKNOWN_STATUS in prediction.faults and progress.status is Status.PROCESSING:
        return UNKNOWN_STATUS
    return progress.status.value


def _output(prediction: Prediction, progress: Progress, *, has_output: bool) -> Any:
    if progress.status is Status.SUCCEEDED:
        return prediction.outputs.value
    if progress.status is not Status.PROCESSING:
        return None
    if prediction.reference.model.medium is Medium.TEXT and prediction.outputs.value is not None:
        text: str | list[str] = prediction.outputs.value
        return text[: int(len(text) * progress.share)]
    is_early = has_output or PredictionFault.PROCESSING_WITH_OUTPUT in prediction.faults
    return prediction.outputs.value if is_early else None


def _logs(progress: Progress) -> str:
    if progress.started is None:
        return ""
    done = int(progress.share * _STEPS)
    steps = "".join(f"{100 * step // _STEPS:3d}%|{'#' * step:<{_STEPS}}| {step}/{_STEPS}\n" for step in range(done + 1))
    return f"{NOTICE}\n{steps}"


def _metrics(prediction: Prediction, progress: Progress) -> Json:
    completed = progress.completed or 0.0
    metrics: Json = {"total_time": round(completed, 6)}
    if progress.started is None:
        return metrics
    metrics["predict_time"] = round(completed - progress.started, 6)
    if progress.status is Status.SUCCEEDED:
        metrics |= _counts(prediction)
    return metrics


def _counts(prediction: Prediction) -> Json:
    if prediction.reference.model.medium is Medium.TEXT:
        words = len(str(prediction.values.get("prompt", "")).split())
        return {"input_token_count": words, "output_token_count": len(prediction.outputs.value or "")}
    return {"output_count": len(prediction.outputs.files)} if prediction.outputs.files else {}


def _moment(prediction: Prediction, offset: float | None) -> str | None:
    return None if offset is None else timestamp(prediction.created_at + offset)


def _urls(prediction: Prediction) -> Json:
    get = f"{prediction.base_url}/replicate/v1/predictions/{prediction.id}"
    urls = {
        "get": get,
        "cancel": f"{get}/cancel",
        "web": f"{prediction.base_url}/_sim/predictions/{prediction.id}",
    }
    if prediction.reference.model.medium is Medium.TEXT:
        urls["stream"] = f"{get}/stream"
    return urls
