"""What clients, vendors and tables may say of a run: in the format of the simulator's log, and as rows."""

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from chaos.asked import Asked, Delivery, Sent
from chaos.prices import CHAT_MODEL
from chaos.tables import Content, LedgerEntry
from chaos.vendor import Entry, Vendor

CONTENT = "5f0c7a52-8a0b-4f0e-9d60-0d7e8a3b1c11"
ORGANIZATION = "org-1"
MODEL = "simulator/image"
INPUT = {"prompt": "one tower"}
MARKER = "7.0"
TURN = "turn:turn-1"


def vendor(
    *,
    predictions: Sequence[Entry] = (),
    creations: Sequence[Entry] | None = None,
    cancels: Sequence[Entry] = (),
    deliveries: Sequence[Entry] = (),
    webhooks: Sequence[Entry] = (),
    chats: Sequence[Entry] = (),
) -> Vendor:
    """A log. Unless creations are given, each prediction has one without a fault."""
    made = [
        {"id": made["id"], "model": made["model"], "input": INPUT, "faults": [], "webhook": made.get("webhook")}
        for made in predictions
    ]
    return Vendor(predictions, made if creations is None else creations, cancels, deliveries, webhooks, chats)


def webhook(attempt: int = 0, content_id: str = CONTENT) -> str:
    return f"http://127.0.0.1:1/webhooks/replicate/{content_id}/{attempt}/nonce"


def prediction(
    prediction_id: str,
    *,
    status: str = "succeeded",
    attempt: int | None = 0,
    files: int = 1,
    predict_time: float = 0.3,
    model: str = MODEL,
) -> dict[str, Any]:
    """A prediction; without a webhook if `attempt` is None."""
    return {
        "id": prediction_id,
        "model": model,
        "status": status,
        "output": [f"http://127.0.0.1:1/delivery/{number}" for number in range(files)],
        "metrics": {"predict_time": predict_time},
        **({} if attempt is None else {"webhook": webhook(attempt)}),
    }


def creation(*faults: str, prediction_id: str | None = None, status: int | None = 201) -> dict[str, Any]:
    entry = {"id": prediction_id, "model": MODEL, "input": INPUT, "faults": list(faults), "webhook": webhook()}
    return entry if status is None else {**entry, "status": status}


def content(
    status: str = "completed", *, prediction_id: str | None = None, attempt: int = 0, cost: str | None = None
) -> Content:
    return Content(
        id=CONTENT,
        organization_id=ORGANIZATION,
        model=MODEL,
        input=json.dumps(INPUT),
        prompt=INPUT["prompt"],
        status=status,
        retry_count=attempt,
        prediction_id=prediction_id,
        error_message="It failed" if status == "failed" else None,
        credit_cost=None if cost is None else Decimal(cost),
    )


def charge(
    amount: str, action: str = f"generation:{CONTENT}:0", *, reference: str = "", marker: str | None = None
) -> LedgerEntry:
    """A charge of so many credits; with a minus, what was given back."""
    return LedgerEntry(ORGANIZATION, "charge", reference or action, -Decimal(amount), action, marker)


def grant(amount: str) -> LedgerEntry:
    reference = f"chaos:{ORGANIZATION}:first"
    return LedgerEntry(ORGANIZATION, "grant", reference, Decimal(amount), reference, None)


def chat(
    marker: str = MARKER,
    *,
    model: str = CHAT_MODEL,
    usage: tuple[int, int] = (1000, 100),
    outcome: str = "finished",
    sent_bytes: int = 400,
    calls: Sequence[str] = (),
    results: Sequence[str] = (),
) -> dict[str, Any]:
    """A model call; `calls` are the tools that it calls, `results` those whose results it was given."""
    said = [{"role": "user", "content": f"[chaos {marker}]"}, {"role": "user", "content": "Make something"}]
    given = [{"role": "tool", "tool_call_id": call_id, "content": "made"} for call_id in results]
    return {
        "model": model,
        "request": {"model": model, "messages": [*said, *given]},
        "usage": {"prompt_tokens": usage[0], "completion_tokens": usage[1]},
        "calls": list(calls),
        "outcome": outcome,
        "sent_bytes": sent_bytes,
        "ended_at": "2026-11-28T10:00:00.000000Z",
    }


def sent(marker: str = MARKER, *, api: str = "api-1", status: int | None = 200, at: float = 10.0) -> Sent:
    return Sent(marker, api, at, at + 1, status)


def delivery(
    turn: str = TURN, marker: str = MARKER, *, is_complete: bool = True, size: int = 400, is_replayed: bool = False
) -> Delivery:
    return Delivery(marker, ORGANIZATION, turn, is_complete, size, (), is_replayed)


def asked(sent_: Sequence[Sent], delivered: Sequence[Delivery]) -> Asked:
    return Asked(sent=list(sent_), delivered=list(delivered))
