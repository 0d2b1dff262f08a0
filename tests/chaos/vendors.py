"""What a vendor may have received, in the format of the simulator's log."""

from collections.abc import Sequence
from typing import Any

from chaos.vendor import Entry, Vendor

CONTENT = "5f0c7a52-8a0b-4f0e-9d60-0d7e8a3b1c11"


def vendor(
    *,
    predictions: Sequence[Entry] = (),
    creations: Sequence[Entry] = (),
    cancels: Sequence[Entry] = (),
    deliveries: Sequence[Entry] = (),
    webhooks: Sequence[Entry] = (),
) -> Vendor:
    return Vendor(predictions, creations, cancels, deliveries, webhooks)


def webhook(attempt: int = 0, content_id: str = CONTENT) -> str:
    return f"http://127.0.0.1:1/webhooks/replicate/{content_id}/{attempt}/nonce"


def prediction(prediction_id: str, *, status: str = "succeeded", attempt: int = 0) -> dict[str, Any]:
    return {"id": prediction_id, "status": status, "webhook": webhook(attempt)}


def creation(*faults: str, prediction_id: str | None = None, status: int | None = 201) -> dict[str, Any]:
    entry = {"id": prediction_id, "faults": list(faults), "webhook": webhook()}
    return entry if status is None else {**entry, "status": status}


def content(status: str, *, prediction_id: str | None = None, attempt: int = 0) -> dict[str, Any]:
    message = "It failed" if status == "failed" else None
    return {
        "id": CONTENT,
        "status": status,
        "retry_count": attempt,
        "prediction_id": prediction_id,
        "error_message": message,
    }
