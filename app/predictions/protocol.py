from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from app.core.errors import AppError

# What the vendor says instead of the version of an official model.
_UNTOLD = {"", "hidden"}


class PredictionError(AppError):
    """A call to the vendor failed. `text` is what the vendor said. It may be shown and never contains the token."""

    status = 502
    type = "provider_error"
    code = "provider_error"


class PredictionRejectedError(PredictionError):
    """The vendor refuses this model or input (400, 413, 422). Nothing runs, and repeating does not help."""


class PredictionDeniedError(PredictionError):
    """The vendor refuses the operator's account (401, 402, 403). Nothing runs until the operator acts."""


class PredictionThrottledError(PredictionError):
    """Too many requests (429). Nothing runs. `wait_seconds` is how long the vendor asks to wait."""

    def __init__(self, message: str | None = None, *, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class PredictionUnavailableError(PredictionError):
    """The vendor could not be reached or gave no usable response, and has certainly accepted nothing."""


class PredictionUncertainError(PredictionError):
    """The vendor may have accepted the request: look for the run before the request is sent again."""


class PredictionMissingError(PredictionError):
    """The vendor has no prediction with that id, or no such model or version (404). Nothing runs."""


@dataclass(frozen=True)
class Prediction:
    """One run of a model at the vendor, as it was when it was read.

    Attributes:
        id: the vendor's id of the run.
        status: the vendor's word, which may be one that is unknown here.
        model: `owner/name`, or empty.
        version: the version of the model, or empty.
        input: the model's parameters.
        output: any JSON.
        error: why it failed.
        predict_time: seconds of computing; None if the vendor has not reported it, or reported an impossible figure.
        webhook: where the vendor reports the end.
        created_at: when it was created (aware).
        data_removed: whether the vendor has deleted its input and output.
    """

    id: str
    status: str
    model: str
    version: str
    input: Mapping[str, Any]
    output: Any
    error: str | None
    predict_time: Decimal | None
    webhook: str | None
    created_at: datetime
    data_removed: bool

    @property
    def is_terminal(self) -> bool:
        """Whether the vendor will not change it any more. An unknown status is not terminal."""
        return self.status in {"succeeded", "failed", "canceled", "aborted"}

    def runs(self, model: str) -> bool:
        """Whether nothing that the vendor says contradicts that this is a run of the model.

        Args:
            model: as it was asked for: `owner/name`, `owner/name:version` or a bare version.
        """
        return may_be_run_of(model, self.model, self.version)


def may_be_run_of(asked: str, model: str, version: str) -> bool:
    """Whether nothing contradicts that a run of this model and version is one of the model that was asked for.

    Args:
        asked: `owner/name`, `owner/name:version` or a bare version.
        model: what the vendor says that it runs; it may be empty.
        version: what the vendor says that it runs; it may be empty, or a word for a version that is not told.
    """
    name, wanted = _name_and_version(asked)
    is_version = wanted in {"", version} or version in _UNTOLD
    return is_version and (not name or not model or model.casefold() == name.casefold())


def is_run_of(asked: str, model: str, version: str) -> bool:
    """As `may_be_run_of`, and the name or the version confirms it."""
    name, wanted = _name_and_version(asked)
    is_confirmed = (name != "" and model.casefold() == name.casefold()) or (wanted != "" and version == wanted)
    return is_confirmed and may_be_run_of(asked, model, version)


def _name_and_version(asked: str) -> tuple[str, str]:
    name, _, version = asked.partition(":")
    return (name, version) if "/" in name else ("", name)


class PredictionClient(Protocol):
    """Runs models at the vendor. Every method may raise the errors of this module."""

    async def create(
        self, *, model: str, input: Mapping[str, Any], webhook: str | None, cancel_after: int
    ) -> Prediction:
        """Start one run and return without waiting for its end. One call never sends the request twice.

        Args:
            model: `owner/name`, `owner/name:version` or a bare version.
            input: the model's parameters.
            webhook: where the vendor reports, or None.
            cancel_after: seconds from creation after which the vendor cancels the run; at least 5.

        Raises:
            PredictionRejectedError: the vendor refuses the model or the input, or the version is not one of the model.
            PredictionMissingError: the vendor does not find the model or its version.
            PredictionUncertainError: the connection was lost or timed out after the request was sent, or a 5xx came.
        """
        ...

    async def get(self, prediction_id: str) -> Prediction:
        """The current state of the run."""
        ...

    async def cancel(self, prediction_id: str) -> Prediction:
        """Ask the vendor to stop the run. One that has ended stays as it is."""
        ...

    def recent(self, created_after: datetime) -> AsyncIterator[Prediction]:
        """The runs of the account that were created after a moment (aware), newest first, read page by page."""
        ...

    async def account(self) -> str:
        """The name of the account that the token belongs to; it may be empty."""
        ...

    async def webhook_secret(self) -> str:
        """The secret with which the vendor signs the account's webhooks; empty if it tells none."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...
