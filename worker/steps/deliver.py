"""Webhooks: each delivery that is due is posted once, and what has become of it decides when it is due again."""

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import timedelta
from time import monotonic
from typing import Final

from app.core.clock import now
from app.core.concurrency import cancel_all
from app.core.database import Database
from app.core.errors import AppError
from app.core.json import storable_text
from app.core.metrics import WEBHOOK_DELIVERIES
from app.core.retry_after import asked_seconds
from app.core.secret_keys import SecretKeys
from app.webhook_endpoints import sending
from app.webhook_endpoints.endpoint_secrets import FORMER_SECRET, SECRET
from app.webhook_endpoints.schedule import next_pause
from app.webhook_endpoints.sending import ClaimedDelivery, Outcome
from app.webhook_endpoints.signing import signed_headers
from worker.transfer.posting import SECONDS, NotSentError, Poster

logger = logging.getLogger(__name__)

# At once in one process. A try costs a socket and next to no work.
_CAPACITY: Final = 128
# Longer than a try takes, with what comes before and after it.
_LEASE: Final = timedelta(seconds=60)
# A try that is not begun by then could overlap with the one of whoever claims the delivery next.
_BEGIN_SECONDS: Final = _LEASE.total_seconds() - 2 * SECONDS
# A round of a worker's loop must not take longer than a minute.
_MOST_SECONDS: Final = 25.0
_LOOK_SECONDS: Final = 1.0
_LAST_TRIES_SECONDS: Final = 3.0
_GONE: Final = 410

_DELIVERED, _FAILED, _GIVEN_UP = (WEBHOOK_DELIVERIES.labels(result) for result in ("delivered", "failed", "given_up"))


@dataclass(frozen=True)
class DeliverStep:
    """Sends what is due, several deliveries at once. `sending` are the tries that are being made."""

    database: Database
    keys: SecretKeys
    poster: Poster
    sending: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self) -> None:
        """Claim what is due and send it, until nothing more is due. What is slow goes on after that."""
        deadline = monotonic() + _MOST_SECONDS
        while monotonic() < deadline:
            await self._claim()
            if not self.sending:
                return
            await asyncio.wait(self.sending, timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)

    async def aclose(self) -> None:
        """Let tries that end in a moment end, and hand the others to another process."""
        if self.sending:
            await asyncio.wait(self.sending, timeout=_LAST_TRIES_SECONDS)
        await cancel_all(self.sending, again_after=_LAST_TRIES_SECONDS)
        await self.poster.aclose()

    async def _claim(self) -> None:
        free = _CAPACITY - len(self.sending)
        if free == 0:
            return
        began = monotonic()
        async with self.database.transaction() as tx:
            claimed = await sending.claim(tx, free, _LEASE)
        for delivery in claimed:
            task = asyncio.create_task(self._try(delivery, began))
            self.sending.add(task)
            task.add_done_callback(self.sending.discard)

    async def _try(self, delivery: ClaimedDelivery, claimed_at: float) -> None:
        details = {"delivery_id": str(delivery.id), "endpoint_id": delivery.endpoint_id}
        try:
            if monotonic() > claimed_at + _BEGIN_SECONDS:
                logger.warning("webhook_left", extra=details)
                return
            outcome = await self._send(delivery)
            await self._note(delivery, outcome)
        except asyncio.CancelledError:
            # The process is stopping: another one may go on at once.
            async with self.database.transaction() as tx:
                await sending.hand_back(tx, delivery)
            raise
        except AppError as error:
            # Postgres is away. It is sent again when the lease has ended.
            logger.warning("webhook_not_noted", extra={**details, "reason": error.text})
        except Exception:  # it is sent again when the lease has ended
            logger.exception("webhook_failed", extra=details)

    async def _send(self, delivery: ClaimedDelivery) -> Outcome:
        began_at, began = now(), monotonic()
        status = response = asked = None
        try:
            headers = signed_headers(delivery.event_id, began_at, delivery.body, self._secrets_of(delivery))
            posted = await self.poster.post(delivery.url, delivery.body, headers)
            status, response = posted.status, storable_text(posted.body)
            reason = None if 200 <= status < 300 else _refusal(status)
            asked = _asked(posted.retry_after)
        except NotSentError as error:
            reason = str(error)
        took = round((monotonic() - began) * 1000)
        return Outcome(began_at, took, status, reason, response, asked)

    def _secrets_of(self, delivery: ClaimedDelivery) -> list[str]:
        secret = delivery.secret and SECRET.unseal(self.keys, delivery.endpoint_id, delivery.secret)
        if not secret:
            logger.error("webhook_secret_unreadable", extra={"endpoint_id": delivery.endpoint_id})
            raise NotSentError("The endpoint's secret cannot be read any more. Rotate it")
        former = delivery.former_secret and FORMER_SECRET.unseal(
            self.keys, delivery.endpoint_id, delivery.former_secret
        )
        return [secret, *([former] if former else [])]

    async def _note(self, delivery: ClaimedDelivery, outcome: Outcome) -> None:
        pause = next_pause(delivery.failures + 1, outcome.retry_after)
        async with self.database.transaction() as tx:
            if outcome.is_success:
                is_ours = await sending.note_delivered(tx, delivery, outcome)
            elif outcome.status == _GONE:
                is_ours = await sending.note_gone(tx, delivery, outcome)
            else:
                is_ours = await sending.note_failed(tx, delivery, outcome, pause)
        details = {
            "delivery_id": str(delivery.id),
            "endpoint_id": delivery.endpoint_id,
            "organization_id": delivery.organization_id,
            "status": outcome.status,
            "duration_ms": outcome.duration_ms,
        }
        if not is_ours:
            logger.warning("webhook_lost", extra=details)
        elif outcome.is_success:
            _DELIVERED.inc()
            logger.info("webhook_delivered", extra=details)
        else:
            is_last = outcome.status == _GONE or pause is None
            (_GIVEN_UP if is_last else _FAILED).inc()
            logger.info("webhook_not_delivered", extra={**details, "reason": outcome.reason})


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"The receiver answered {status}: redirects are not followed"
    return f"The receiver answered {status}"


def _asked(retry_after: str | None) -> timedelta | None:
    seconds = asked_seconds(retry_after or "", now())
    # Whoever counts on, such as the schedule, bounds it.
    return timedelta(seconds=min(seconds, 10**6)) if seconds > 0 else None
