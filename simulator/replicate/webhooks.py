import asyncio
import heapq
import ipaddress
import json
import secrets
from dataclasses import dataclass, field, replace
from itertools import count
from urllib.parse import urlsplit

import aiohttp

from simulator.clock import Clock
from simulator.config import SimulatorConfig
from simulator.faults.prediction import PredictionFault
from simulator.log import LogKind, RequestLog
from simulator.replicate.predictions import Prediction
from simulator.replicate.schedule import ScheduledEvent, completed_event, events_of, is_still_true
from simulator.replicate.schemas import prediction_object
from simulator.replicate.signing import signature
from simulator.wire import dump

_FIRST_RETRY = 1.0  # seconds; doubles each time
_LAST_RETRY = 60.0  # seconds after the prediction's end
_AT_ONCE = 100
_TIMEOUT = aiohttp.ClientTimeout(total=10.0)
_AN_HOUR = 3600
_FOREIGN_SECRET = "whsec_bm90IHRoZSBzZWNyZXQgb2YgdGhpcyBydW4="  # noqa: S105  # signs what must be refused


@dataclass(frozen=True, slots=True, order=True)
class _Delivery:
    due: float
    number: int
    prediction: Prediction = field(compare=False)
    event: ScheduledEvent = field(compare=False)
    webhook_id: str = field(compare=False)
    attempt: int = field(default=1, compare=False)


class WebhookSender:
    """Sends the webhooks of all predictions: one heap, one task that waits, one task per request in flight."""

    def __init__(self, config: SimulatorConfig, clock: Clock, log: RequestLog) -> None:
        self._config = config
        self._clock = clock
        self._log = log
        self._heap: list[_Delivery] = []
        self._numbers = count()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._requests: set[asyncio.Task[None]] = set()
        self._latest: dict[str, asyncio.Task[None]] = {}  # by prediction

    def schedule(self, prediction: Prediction) -> None:
        """Schedule the webhooks of a new prediction."""
        self._push(prediction, events_of(prediction))

    def reschedule(self, prediction: Prediction) -> None:
        """Schedule the webhook of a prediction that was ended early."""
        self._push(prediction, completed_event(prediction))

    def clear(self) -> None:
        """Send nothing more of what is scheduled, and cancel what is on its way."""
        self._heap.clear()
        for request in self._requests:
            request.cancel()

    async def run(self) -> None:
        """Send what is due, until canceled."""
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
            try:
                while True:
                    self._send_due(session)
                    await self._clock.sleep_until(self._heap[0].due if self._heap else None)
            finally:
                self.clear()
                await asyncio.gather(*self._requests, return_exceptions=True)

    def _push(self, prediction: Prediction, events: list[ScheduledEvent]) -> None:
        copies = 2 if PredictionFault.WEBHOOK_DUPLICATED in prediction.faults else 1
        for event in events:
            webhook_id = f"msg_{secrets.token_urlsafe(16)}"
            for _ in range(copies):
                number = next(self._numbers)
                heapq.heappush(self._heap, _Delivery(event.due, number, prediction, event, webhook_id))
        if events:
            self._clock.wake()

    def _send_due(self, session: aiohttp.ClientSession) -> None:
        while self._heap and self._heap[0].due <= self._clock.now():
            delivery = heapq.heappop(self._heap)
            if is_still_true(delivery.prediction, delivery.event):
                self._start(session, delivery)

    def _start(self, session: aiohttp.ClientSession, delivery: _Delivery) -> None:
        """Send it after what is still on its way for the same prediction: a wrong order happens only as a fault."""
        prediction_id = delivery.prediction.id
        request = asyncio.create_task(self._send(session, delivery, self._latest.get(prediction_id)))
        self._requests.add(request)
        self._latest[prediction_id] = request
        request.add_done_callback(lambda done: self._finish(prediction_id, done))

    def _finish(self, prediction_id: str, request: asyncio.Task[None]) -> None:
        self._requests.discard(request)
        if self._latest.get(prediction_id) is request:
            del self._latest[prediction_id]

    async def _send(
        self, session: aiohttp.ClientSession, delivery: _Delivery, previous: asyncio.Task[None] | None
    ) -> None:
        if previous is not None:
            await asyncio.wait((previous,))
        url = str(delivery.prediction.webhook)
        entry = self._log.add(
            LogKind.WEBHOOK,
            prediction_id=delivery.prediction.id,
            event=delivery.event.name,
            url=url,
            webhook_id=delivery.webhook_id,
            attempt=delivery.attempt,
        )
        if not _is_loopback(url):
            self._log.complete(entry, outcome="blocked: not a loopback address")
            return
        outcome = await self._post(session, url, delivery)
        self._log.complete(entry, outcome=outcome)
        if not isinstance(outcome, int) or outcome >= 300:
            self._retry(delivery)

    async def _post(self, session: aiohttp.ClientSession, url: str, delivery: _Delivery) -> int | str:
        """POST it; returns the status, or why there is none."""
        body, headers = self._message(delivery)
        try:
            async with self._slots, session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError) as error:
            return type(error).__name__

    def _message(self, delivery: _Delivery) -> tuple[bytes, dict[str, str]]:
        faults = delivery.prediction.faults
        document = prediction_object(
            delivery.prediction, delivery.event.moment, has_output=delivery.event.name == "output"
        )
        body = dump(document)
        sent_at = int(self._clock.now()) - (_AN_HOUR if PredictionFault.WEBHOOK_OLD_TIMESTAMP in faults else 0)
        is_forged = PredictionFault.WEBHOOK_BAD_SIGNATURE in faults
        signing = [_FOREIGN_SECRET] if is_forged else self._secrets()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Replicate-Webhooks (simulated)",
            "webhook-id": delivery.webhook_id,
            "webhook-timestamp": str(sent_at),
            "webhook-signature": " ".join(signature(key, delivery.webhook_id, sent_at, body) for key in signing),
        }
        if PredictionFault.WEBHOOK_REENCODED in faults:
            body = json.dumps(document, indent=1).encode()
        return body, headers

    def _secrets(self) -> list[str]:
        both = (self._config.webhook_secret, self._config.old_webhook_secret)
        return [secret for secret in both if secret is not None]

    def _retry(self, delivery: _Delivery) -> None:
        """Only the last webhook of a prediction is repeated, for about a minute."""
        if delivery.event.name != "completed":
            return
        due = self._clock.now() + _FIRST_RETRY * 2 ** (delivery.attempt - 1) / self._config.speed
        if due > delivery.event.due + _LAST_RETRY / self._config.speed:
            return
        heapq.heappush(self._heap, replace(delivery, due=due, attempt=delivery.attempt + 1))
        self._clock.wake()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
