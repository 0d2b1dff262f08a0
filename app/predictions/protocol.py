from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Protocol

from app.core.errors import AppError


class PredictionError(AppError):
    """A call to the vendor failed. `text` is what the vendor said, fit to be shown; it never holds the token."""

    status = 502
    type = "provider_error"
    code = "provider_error"


class PredictionRejectedError(PredictionError):
    """The vendor refuses this model or input (400, 404, 413, 422): repeating cannot help, nothing runs."""


class PredictionDeniedError(PredictionError):
    """The vendor refuses the operator's account (401, 402, 403): nothing runs until the operator acts."""


class PredictionThrottledError(PredictionError):
    """Too many requests (429): nothing runs; `wait_seconds` is how long the vendor asks to wait."""

    def __init__(self, message: str | None = None, *, wait_seconds: float) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


class PredictionUnavailableError(PredictionError):
    """The vendor could not be reached or answered nothing usable, and certainly accepted nothing."""


class PredictionUncertainError(PredictionError):
    """The vendor may have accepted the request: it must be looked for before it is sent again."""


class PredictionMissingError(PredictionError):
    """The vendor knows no prediction of that id (404 on get or cancel)."""


@dataclass(frozen=True)
class Prediction:
    """One run of a model at the vendor, as it was when it was read.

    `status` is the vendor's word, one that is not known here included. `predict_time` is in seconds of computing
    and None until the vendor tells it; a negative, infinite or absurd figure is None too. `output` is any JSON.
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
        """Whether the vendor will not change it any more; an unknown status is not terminal."""
        return self.status in {"succeeded", "failed", "canceled", "aborted"}


class PredictionClient(Protocol):
    """Runs models at the vendor. Every method may raise the errors of this module that fit it."""

    async def create(
        self, *, model: str, input: Mapping[str, Any], webhook: str | None, cancel_after: int
    ) -> Prediction:
        """Start one run and return at once, without waiting for it. It is never sent twice by this call.

        Args:
            model: `owner/name`, `owner/name:version` or a bare version.
            input: the model's parameters.
            webhook: where the vendor reports, or None.
            cancel_after: seconds from creation after which the vendor cancels it itself; at least 5.

        Raises:
            PredictionUncertainError: the connection was lost or timed out after the request was sent, or a 5xx came.
        """
        ...

    async def get(self, prediction_id: str) -> Prediction:
        """The run as it is now."""
        ...

    async def cancel(self, prediction_id: str) -> Prediction:
        """Ask the vendor to stop it. One that has ended stays as it ended."""
        ...

    def recent(self, created_after: datetime) -> AsyncIterator[Prediction]:
        """The account's runs made after that moment, newest first, page by page."""
        ...

    async def close(self) -> None:
        """Give back the connections."""
        ...
