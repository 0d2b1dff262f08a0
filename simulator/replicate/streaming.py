"""The server-sent events of ``urls.stream``: a language model's output while it is made."""

import asyncio
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from simulator.connection import CuttableResponse
from simulator.replicate.lifecycle import Status
from simulator.replicate.predictions import Prediction
from simulator.replicate.schemas import prediction_object
from simulator.state import Simulator, simulator_of
from simulator.wire import dump

_POLL = 0.02  # seconds

_REASONS = {Status.CANCELED: "canceled", Status.ABORTED: "canceled", Status.FAILED: "error"}


def stream_prediction(request: Request, prediction: Prediction) -> Response:
    """Stream a prediction's output from its beginning to its end."""
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
    return CuttableResponse(_events(simulator_of(request), prediction), 200, headers)


async def _events(simulator: Simulator, prediction: Prediction) -> AsyncGenerator[bytes, None]:
    sent = 0
    while True:
        now = simulator.clock.now()
        chunks: list[str] = prediction_object(prediction, now)["output"] or []
        for number, chunk in enumerate(chunks[sent:], start=sent):
            yield _event("output", chunk, f"{int(now)}:{number}")
        sent = len(chunks)
        progress = prediction.progress(now)
        if progress.is_terminal:
            break
        await asyncio.sleep(_POLL)
    if progress.status is Status.FAILED:
        yield _event("error", dump({"detail": prediction.plan.error}).decode(), f"{int(now)}:{sent}")
    reason = _REASONS.get(progress.status)
    yield _event("done", dump({"reason": reason} if reason else {}).decode(), f"{int(now)}:{sent + 1}")


def _event(name: str, data: str, event_id: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in data.split("\n"))
    return f"event: {name}\nid: {event_id}\n{lines}\n".encode()
